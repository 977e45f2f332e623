"""What changed between two catalogs, as people speak of it: `models claude-opus-4-8 price.input: 5 -> 6`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LINES_MAX = 2000
_NAMED = {"models": "code", "groups": "name", "channels": "name"}


@dataclass(frozen=True, slots=True)
class Line:
    """`before` empty: added; `after` empty: removed."""

    part: str  # models, groups, channels
    name: str
    field: str
    before: str
    after: str


def catalog_diff(before: dict[str, Any], after: dict[str, Any]) -> list[Line]:
    """In the order of the parts, then by name and field; at most LINES_MAX. Objects are matched by their names."""
    lines: list[Line] = []
    for part, key in _NAMED.items():
        old = {str(each[key]): each for each in before.get(part, ())}
        new = {str(each[key]): each for each in after.get(part, ())}
        for name in sorted(old.keys() | new.keys()):
            was = dict(_flat(old[name])) if name in old else {}
            is_ = dict(_flat(new[name])) if name in new else {}
            lines += [
                Line(part, name, field, was.get(field, ""), is_.get(field, ""))
                for field in sorted(was.keys() | is_.keys())
                if was.get(field) != is_.get(field)
            ]
            if len(lines) >= LINES_MAX:
                return lines[:LINES_MAX]
    return lines


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
