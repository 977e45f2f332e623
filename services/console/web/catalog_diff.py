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
    """`before` empty: added; `after` empty: removed. `field` empty: the whole object."""

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
            if name not in old or name not in new:
                lines.append(Line(part, name, "", _compact(old.get(name)), _compact(new.get(name))))
                continue
            was, is_ = dict(_flat(old[name])), dict(_flat(new[name]))
            lines += [
                Line(part, name, field, was.get(field, ""), is_.get(field, ""))
                for field in sorted(was.keys() | is_.keys())
                if was.get(field) != is_.get(field)
            ]
            if len(lines) >= LINES_MAX:
                return lines[:LINES_MAX]
    return lines


def _compact(value: Any) -> str:
    """A whole object, without what is empty or not set."""
    if value is None:
        return ""
    said = {key: each for key, each in value.items() if each not in (None, "", [], {}, False)}
    return json.dumps(said, ensure_ascii=False)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
