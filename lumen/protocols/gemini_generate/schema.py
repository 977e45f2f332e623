"""JSON Schema as clients write it -> the part of it that `parametersJsonSchema` and `responseJsonSchema` take.

Supported by Gemini: $id, $defs, $ref, $anchor, type (arrays too), format, title, description, enum, items, prefixItems,
minItems, maxItems, minimum, maximum, anyOf, oneOf, properties, additionalProperties, required, propertyOrdering; beside
a $ref nothing but members that start with $. https://ai.google.dev/api/generate-content#GenerationConfig

What says the same in those words is said so (const, exclusiveMinimum, definitions, nullable, a lone allOf); what has no
such words stays, for the server skips what it does not know; `$schema` and the like are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTH_MAX = 64
_RENAMED = {"definitions": "$defs"}
# -> the inclusive bound, and how far from it a whole number is.
_EXCLUSIVE = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
_LEFT_OUT = frozenset({"$schema", "$comment", "$vocabulary", "examples", "deprecated", "readOnly", "writeOnly"})
# Members whose value is a schema, an array of schemas, or an object of schemas.
_SCHEMA = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"})
_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset({"properties", "$defs", "patternProperties", "dependentSchemas"})


def clean_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return _object(schema, 0)


def takes_no_arguments(schema: Mapping[str, Any]) -> bool:
    """Whether nothing but `{}` is meant; such a function is declared without parameters."""
    said = {name for name, value in schema.items() if value or (name == "additionalProperties" and value is not False)}
    return said <= {"type", "title", "description", *_LEFT_OUT}


def _clean(value: Any, depth: int) -> Any:
    """A schema is an object, or a boolean: anything or nothing."""
    if value is True:
        return {}
    return _object(value, depth) if isinstance(value, dict) else value


def _object(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEPTH_MAX:
        return {}
    is_integer = schema.get("type") == "integer"
    cleaned: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _EXCLUSIVE and _is_number(value):
            bound, step = _EXCLUSIVE[name]
            cleaned.setdefault(bound, value + step if is_integer else value)
        elif name == "const":
            # Only strings and numbers may be listed.
            if isinstance(value, str) or _is_number(value):
                cleaned.setdefault("enum", [value])
        elif name not in _LEFT_OUT:
            name = _RENAMED.get(name, name)
            cleaned.setdefault(name, _member(name, value, depth + 1))
    _say_nullable(cleaned)
    _merge_lone_all_of(cleaned)
    return _set_ref_apart(cleaned)


def _member(name: str, value: Any, depth: int) -> Any:
    if name == "$ref" and isinstance(value, str):
        return value.replace("#/definitions/", "#/$defs/")
    if name == "additionalProperties" and isinstance(value, bool):
        return value
    if name in _SCHEMA:
        return _clean(value, depth)
    if name in _SCHEMAS and isinstance(value, list):
        return [_clean(entry, depth) for entry in value]
    if name in _NAMED_SCHEMAS and isinstance(value, dict):
        return {key: _clean(entry, depth) for key, entry in value.items()}
    return value


def _say_nullable(cleaned: dict[str, Any]) -> None:
    """OpenAPI's word for a type that may be null."""
    if cleaned.pop("nullable", False) is True and isinstance(kind := cleaned.get("type"), str) and kind != "null":
        cleaned["type"] = [kind, "null"]


def _merge_lone_all_of(cleaned: dict[str, Any]) -> None:
    """Pydantic wraps a $ref in one to put a description beside it."""
    schemas = cleaned.get("allOf")
    if isinstance(schemas, list) and len(schemas) == 1 and isinstance(schemas[0], dict):
        del cleaned["allOf"]
        for name, value in schemas[0].items():
            cleaned.setdefault(name, value)


def _set_ref_apart(cleaned: dict[str, Any]) -> dict[str, Any]:
    reference = cleaned.get("$ref")
    if reference is None or "anyOf" in cleaned or all(name.startswith("$") for name in cleaned):
        return cleaned
    del cleaned["$ref"]
    return {**cleaned, "anyOf": [{"$ref": reference}]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
