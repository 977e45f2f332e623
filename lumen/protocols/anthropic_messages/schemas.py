"""JSON Schemas as Anthropic's structured outputs take them.

Every object must be closed; recursion, open maps and most constraints are refused. Constraints move to the description,
where the model still reads them. https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

DEPTH_MAX = 64

_KEPT = frozenset({"$ref", "const", "default", "description", "enum", "required", "title", "type"})
_SUBSCHEMAS = ("$defs", "definitions", "properties")
_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"})
_IGNORED = frozenset({"$schema", "$id", "$comment", "additionalProperties"})


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as the API takes it; None for one it cannot enforce: open maps, recursion, no object at the top."""
    if schema.get("type") != "object" and "$ref" not in schema and "anyOf" not in schema:
        return None
    if _is_recursive(schema):
        return None
    try:
        return _close(schema, 0)
    except _Open:
        return None


class _Open(Exception):
    """Something that cannot be closed."""


def _close(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        raise _Open
    closed: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _SUBSCHEMAS and isinstance(value, dict):
            closed[name] = {member: _close(child, depth + 1) for member, child in value.items()}
        elif name in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            closed["allOf" if name == "allOf" else "anyOf"] = [_close(child, depth + 1) for child in value]
        elif name == "items":
            closed[name] = _close(value, depth + 1)
        elif name in _KEPT or (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1)):
            closed[name] = value
        elif name not in _IGNORED:
            told[name] = value
    if _is_object(schema):
        is_open = schema.get("additionalProperties") not in (None, False)
        if is_open or ("properties" not in schema and schema.get("additionalProperties") is None):
            raise _Open
        closed["additionalProperties"] = False
    if told and "$ref" not in schema:
        words = msgspec.json.encode(told).decode()
        closed["description"] = f"{closed['description']}\n\n{words}" if closed.get("description") else words
    return closed


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return "properties" in schema or kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself."""
    definitions: dict[str, Any] = {"#": {name: value for name, value in schema.items() if name not in _SUBSCHEMAS[:2]}}
    for member in _SUBSCHEMAS[:2]:
        children = schema.get(member)
        if isinstance(children, dict):
            definitions.update({f"#/{member}/{name}": child for name, child in children.items()})
    edges = {name: set(_references(child, 0)) for name, child in definitions.items()}
    for start in edges:
        seen: set[str] = set()
        open_ends = list(edges[start])
        while open_ends:
            reference = open_ends.pop()
            if reference == start:
                return True
            if reference not in seen:
                seen.add(reference)
                open_ends += edges.get(reference, ())
    return False


def _references(value: Any, depth: int) -> list[str]:
    if depth > DEPTH_MAX:
        return []
    if isinstance(value, list):
        return [found for child in value for found in _references(child, depth + 1)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for child in value.values() for found in _references(child, depth + 1)]
