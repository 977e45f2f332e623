"""Reads the members of a client's decoded JSON object, refusing wrong types in OpenAI's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import Extras
from lumen.protocols.dialects import Dialect
from lumen.protocols.request_fields import InvalidRequest


class Members:
    """One object of the request. `path` is its place as OpenAI names it: "" or `messages[0]`. Null counts as absent.

    Every reader raises InvalidRequest for a value of another type.
    """

    __slots__ = ("path", "raw")

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise wording.wrong_type(path, "object", value)
        self.raw: Mapping[str, Any] = value
        self.path = path

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self.raw.get(name) is not None

    def text(self, name: str) -> str | None:
        value = self.raw.get(name)
        if value is None or isinstance(value, str):
            return value
        raise wording.wrong_type(self.at(name), "string", value)

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise wording.missing(self.at(name))
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.raw.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise wording.wrong_type(self.at(name), "boolean", value)

    def integer(self, name: str) -> int | None:
        value = self.raw.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise wording.wrong_type(self.at(name), "integer", value)

    def number(self, name: str) -> float | int | None:
        value = self.raw.get(name)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise wording.wrong_type(self.at(name), "decimal", value)

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        return self.raw[name] if self.below(name) is not None else None

    def below(self, name: str) -> Members | None:
        """The object under `name`."""
        return Members(self.raw[name], self.at(name)) if self.has(name) else None

    def required_below(self, name: str) -> Members:
        below = self.below(name)
        if below is None:
            raise wording.missing(self.at(name))
        return below

    def array(self, name: str) -> list[Any]:
        """[] where it is absent."""
        value = self.raw.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise wording.wrong_type(self.at(name), "array", value)

    def objects(self, name: str) -> list[Members]:
        return [Members(value, f"{self.at(name)}[{index}]") for index, value in enumerate(self.array(name))]

    def extras(self, known: Collection[str]) -> Extras | None:
        """What none of the `known` names covers."""
        rest = {name: value for name, value in self.raw.items() if name not in known and value is not None}
        return Extras(Dialect.OPENAI_CHAT, rest) if rest else None

    def invalid_value(self, name: str, value: str, supported: Collection[str]) -> InvalidRequest:
        *most, last = [f"'{known}'" for known in supported]
        listed = f"{', '.join(most)}{',' if len(most) > 1 else ''} and {last}" if most else last
        return InvalidRequest(
            f"Invalid value: '{value}'. Supported values are: {listed}.", self.at(name), "invalid_value"
        )


def own_extras(extras: Extras | None) -> Mapping[str, Any]:
    """The members to emit: those of this dialect."""
    return extras.members if extras is not None and extras.dialect is Dialect.OPENAI_CHAT else {}
