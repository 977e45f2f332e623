"""Catalog texts for tests."""

from __future__ import annotations


def catalog_text(*, output_price: str = "2", model: str = "m1") -> str:
    return f"""
models:
  - {{code: {model}, name: M, vendor: v, max_output_tokens: 100, price: {{input: "1", output: "{output_price}"}}}}
groups:
  - {{name: default}}
channels:
  - name: c1
    dialects: {{openai_chat: "http://127.0.0.1:1/v1"}}
    secret: env:K
    models: {{{model}: up}}
  - name: c2
    dialects: {{openai_chat: "http://127.0.0.1:2/v1"}}
    secret: env:K
    models: {{{model}: up}}
"""
