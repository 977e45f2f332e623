"""Members of a decoded request, read with the refusals OpenAI words; and what is kept for this dialect alone.

`path` is where the members are, as OpenAI names it (`input[0].content[1]`), "" for the body itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import Extras
from lumen.protocols.dialects import Dialect

Members = Mapping[str, Any]

_NOTHING: Members = {}


def member_path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def as_object(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise wording.wrong_type(path, "object", value)


def as_array(value: Any, path: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise wording.wrong_type(path, "array", value)


def read_string(members: Members, name: str, path: str) -> str:
    value = members.get(name)
    if isinstance(value, str):
        return value
    if value is None:
        raise wording.missing(member_path(path, name))
    raise wording.wrong_type(member_path(path, name), "string", value)


def read_optional_string(members: Members, name: str, path: str = "") -> str | None:
    return None if members.get(name) is None else read_string(members, name, path)


def read_optional_boolean(members: Members, name: str, path: str = "") -> bool | None:
    value = members.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise wording.wrong_type(member_path(path, name), "boolean", value)


def read_optional_integer(members: Members, name: str, path: str = "") -> int | None:
    value = members.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise wording.wrong_type(member_path(path, name), "integer", value)


def read_optional_number(members: Members, name: str, path: str = "") -> int | float | None:
    value = members.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wording.wrong_type(member_path(path, name), "decimal number", value)


def read_optional_object(members: Members, name: str, path: str = "") -> dict[str, Any] | None:
    value = members.get(name)
    return None if value is None else as_object(value, member_path(path, name))


def read_optional_array(members: Members, name: str, path: str = "") -> list[Any]:
    value = members.get(name)
    return [] if value is None else as_array(value, member_path(path, name))


def other_members(members: Members, known: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in known}


def own_extras(members: Members) -> Extras | None:
    return Extras(Dialect.OPENAI_RESPONSES, members) if members else None


def own_members(extras: Extras | None) -> Members:
    return extras.members if extras is not None and extras.dialect is Dialect.OPENAI_RESPONSES else _NOTHING
