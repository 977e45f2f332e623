"""Faults switched on from outside, for requests that match: `POST /_sim/faults`.

A fault is `{"match": {...}, "script": {...}, "times": n}`. `match` may name `model` (without its script), `key` (the
provider key), `path` (a prefix, such as `/c1/` for a channel whose base URL is `http://.../c1/openai/v1`) and
`dialect`; all that it names must fit. The first fault that fits is used, its script wins over the request's own. It is
forgotten after `times` uses; without `times` it stays until `DELETE /_sim/faults`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.script import ScriptError, build_script

_FAULTS_MAX = 256


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """None: anything fits."""

    model: str | None = None
    key: str | None = None
    path: str | None = None
    dialect: str | None = None

    def fits(self, *, model: str, key: str, path: str, dialect: str) -> bool:
        return (
            (self.model is None or self.model == model)
            and (self.key is None or self.key == key)
            and (self.path is None or path.startswith(self.path))
            and (self.dialect is None or self.dialect == dialect)
        )


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """`times`: uses left, None for no end; `used`: uses so far."""

    script: dict[str, Any]
    match: Match = Match()
    times: int | None = None
    used: int = 0


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, body: bytes) -> Fault:
        """Raises ScriptError."""
        try:
            fault = msgspec.json.decode(body, type=Fault)
        except msgspec.DecodeError as error:
            raise ScriptError(str(error)) from None
        build_script(fault.script)
        if fault.times is not None and fault.times < 1:
            raise ScriptError("times: expected a number above 0")
        if len(self._faults) >= _FAULTS_MAX:
            raise ScriptError(f"there are {_FAULTS_MAX} faults already")
        self._faults.append(fault)
        return fault

    def take(self, *, model: str, key: str, path: str, dialect: str) -> dict[str, Any]:
        """The script of the first fault that fits, which this uses up by one; empty when none fits."""
        for fault in self._faults:
            if fault.match.fits(model=model, key=key, path=path, dialect=dialect):
                fault.used += 1
                if fault.times is not None and fault.used >= fault.times:
                    self._faults.remove(fault)
                return fault.script
        return {}

    def encode(self) -> bytes:
        return msgspec.json.encode({"faults": self._faults})

    def clear(self) -> None:
        self._faults.clear()
