"""What a key may be made for."""

from __future__ import annotations

import pytest

from lumen.catalog.parse import parse_catalog
from services.console.errors import InvalidRequest
from services.console.key_rules import model_codes

CATALOG = parse_catalog(
    """
models:
  - {code: a-1, name: A, vendor: v, aliases: [a], max_output_tokens: 9, price: {input: "1", output: "2"}}
  - {code: b-1, name: B, vendor: v, max_output_tokens: 9, price: {input: "1", output: "2"}}
groups:
  - {name: all}
  - {name: some, models: ["a-*"]}
channels:
  - {name: c, dialects: {openai_chat: "http://h/v1"}, secret: "env:K", models: {a-1: x, b-1: y}}
""",
    "test",
)


def test_aliases_become_codes_once_each_in_order() -> None:
    assert model_codes(CATALOG, "all", ["b-1", "a", "a-1"]) == ["b-1", "a-1"]
    assert model_codes(CATALOG, "all", []) == []


@pytest.mark.parametrize(
    ("group", "models", "words"),
    [("none", [], "all, some"), ("all", ["c"], "no model 'c'"), ("some", ["b-1"], "does not offer 'b-1'; it has a-1")],
)
def test_refusal_says_what_there_is(group: str, models: list[str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        model_codes(CATALOG, group, models)
