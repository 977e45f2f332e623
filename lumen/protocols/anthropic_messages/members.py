"""Members of a client's JSON, with the path that Anthropic's refusals name (`messages.0.content.1.text`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lumen.protocols.anthropic_messages.peek import FIELDS
from lumen.protocols.canonical.content import CacheMark, Extras
from lumen.protocols.dialects import Dialect
from lumen.protocols.request_fields import InvalidRequest

_wording = FIELDS.wording
_NAMES: tuple[tuple[type, str], ...] = ((str, "string"), (list, "array"), (dict, "object"), (bool, "boolean"))


class Members:
    """One JSON object; null is absent. Reads raise InvalidRequest for the wrong type; `rest` is what nobody read."""

    __slots__ = ("_read", "path", "raw")

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wording.wrong_type(path, "object", value)
        self.raw: Mapping[str, Any] = value
        self.path = path
        self._read: set[str] = set()

    def at(self, name: str | int) -> str:
        return f"{self.path}.{name}" if self.path else str(name)

    def value(self, name: str) -> Any:
        self._read.add(name)
        return self.raw.get(name)

    def text(self, name: str) -> str | None:
        value: str | None = self._typed(name, str)
        return value

    def required_text(self, name: str) -> str:
        value: str = self._required(name, str)
        return value

    def boolean(self, name: str) -> bool | None:
        value: bool | None = self._typed(name, bool)
        return value

    def integer(self, name: str) -> int | None:
        value = self.value(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise _wording.wrong_type(self.at(name), "integer", value)

    def number(self, name: str) -> int | float | None:
        value = self.value(name)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise InvalidRequest(f"{self.at(name)}: Input should be a valid number")

    def array(self, name: str) -> list[Any]:
        """Empty when absent."""
        return self._typed(name, list) or []

    def mapping(self, name: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self._typed(name, dict)
        return value

    def required_mapping(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = self._required(name, dict)
        return value

    def below(self, name: str) -> Members | None:
        value = self.mapping(name)
        return None if value is None else Members(value, self.at(name))

    def each(self, name: str) -> Iterator[Members]:
        for index, value in enumerate(self.array(name)):
            yield Members(value, f"{self.at(name)}.{index}")

    def cache(self) -> CacheMark | None:
        """`cache_control` of this object."""
        mark = self.below("cache_control")
        return None if mark is None else CacheMark(mark.text("ttl") or "5m")

    def rest(self) -> dict[str, Any]:
        return {name: value for name, value in self.raw.items() if name not in self._read}

    def extras(self) -> Extras | None:
        return extras(self.rest())

    def _typed(self, name: str, kind: type) -> Any:
        value = self.value(name)
        if value is None or isinstance(value, kind):
            return value
        raise _wording.wrong_type(self.at(name), dict(_NAMES)[kind], value)

    def _required(self, name: str, kind: type) -> Any:
        value = self._typed(name, kind)
        if value is None:
            raise _wording.missing(self.at(name))
        return value


def extras(members: Mapping[str, Any]) -> Extras | None:
    return Extras(Dialect.ANTHROPIC_MESSAGES, members) if members else None


def wrong_tag(path: str, tag: str, expected: tuple[str, ...]) -> InvalidRequest:
    """How the API refuses a `type` that it does not know."""
    tags = ", ".join(f"'{name}'" for name in expected)
    return InvalidRequest(
        f"{path}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {tags}"
    )
