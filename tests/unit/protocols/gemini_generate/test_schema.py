"""JSON Schemas in the words Gemini knows."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.gemini_generate.schema import clean_schema


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"$schema": "x", "type": "object", "$comment": "y"}, {"type": "object"}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": 3}, {"enum": [3]}),
        ({"type": "boolean", "const": True}, {"type": "boolean"}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 1, "maximum": 8},
        ),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        (
            {"definitions": {"A": {"const": "a"}}, "properties": {"p": {"$ref": "#/definitions/A"}}},
            {"$defs": {"A": {"enum": ["a"]}}, "properties": {"p": {"$ref": "#/$defs/A"}}},
        ),
        ({"$ref": "#/$defs/A", "description": "d"}, {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]}),
        (
            {"allOf": [{"$ref": "#/$defs/A"}], "description": "d"},
            {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]},
        ),
        ({"allOf": [{"type": "string"}]}, {"type": "string"}),
        ({"items": True, "additionalProperties": False}, {"items": {}, "additionalProperties": False}),
        ({"anyOf": [{"const": "a"}, {"const": "b"}]}, {"anyOf": [{"enum": ["a"]}, {"enum": ["b"]}]}),
        (
            {"pattern": "^a", "minLength": 1, "default": {"const": 1}},
            {"pattern": "^a", "minLength": 1, "default": {"const": 1}},
        ),
    ],
)
def test_schemas(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    assert clean_schema(schema) == cleaned
    assert clean_schema({"type": "object", "properties": {"p": schema}})["properties"]["p"] == cleaned


def test_properties_may_be_called_as_keywords_are() -> None:
    schema = {"type": "object", "properties": {"const": {"type": "string"}, "$schema": {"type": "string"}}}
    assert clean_schema(schema) == schema


def test_endless_nesting_ends() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"items": schema}
    assert clean_schema(schema)


def test_the_clients_schema_is_not_changed() -> None:
    schema = {"allOf": [{"const": "a"}], "nullable": True, "type": "string"}
    clean_schema(schema)
    assert schema == {"allOf": [{"const": "a"}], "nullable": True, "type": "string"}
