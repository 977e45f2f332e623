"""A small catalog for the edge's own logic."""

from __future__ import annotations

from lumen.catalog.parse import parse_catalog
from lumen.catalog.resolve import Resolution, RouteTable

TEXT = """
models:
  - code: m
    name: M
    vendor: v
    max_output_tokens: 1000
    typical_output_tokens: 100
    price: {input: "1", output: "2", cache_write_5m: "1.25"}
    modifiers: {speed: {fast: "6"}}
    attachment_tokens: {image: 500}
  - code: tools
    name: T
    vendor: v
    max_output_tokens: 10
    price: {input: "1", output: "2", server_tool_requests: "10000"}
groups:
  - {name: default}
  - {name: strict, hold: strict, multiplier: "0.5"}
channels:
  - name: c
    dialects: {openai_chat: "http://127.0.0.1:1/v1", anthropic_messages: "http://127.0.0.1:1"}
    secret: env:NOTHING
    models: {m: m, tools: tools}
"""


def resolution(group: str = "default", model: str = "m") -> Resolution:
    found = RouteTable(parse_catalog(TEXT, "test"), 1).resolve(group, model)
    assert found is not None
    return found
