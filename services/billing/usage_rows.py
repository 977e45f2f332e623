"""The rows of the table `usage`, kept as what they are made of and turned into columns at once: a tuple of forty fields
per entry, and its transposition, cost more than rating it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from lumen.ledger.entries import UsageEntry
from lumen.money.usage import COUNT_COLUMNS
from services.billing.rating import Charge
from services.billing.tables import USAGE, Place, Row

_COUNTS = dict(zip(COUNT_COLUMNS, range(len(COUNT_COLUMNS)), strict=True))
_json = msgspec.json.Encoder()


class UsageRows:
    """Rows in the order in which they were added; iterates as tuples in USAGE's order of columns."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._indices: list[int] = []
        self._entries: list[UsageEntry] = []
        self._charges: list[Charge] = []

    def add(self, place: Place, index: int, entry: UsageEntry, charge: Charge) -> None:
        self._places.append(place)
        self._indices.append(index)
        self._entries.append(entry)
        self._charges.append(charge)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Row]:
        return zip(*self.columns(), strict=True)

    def columns(self) -> list[Sequence[Any]]:
        """In USAGE's order, all of one length; none for no rows."""
        entries = self._entries
        if not entries:
            return []
        own: dict[str, Sequence[Any]] = {
            "index": self._indices,
            "modifiers": [_json.encode(entry.modifiers).decode() if entry.modifiers else "{}" for entry in entries],
            "attempts": [_json.encode(entry.attempts).decode() if entry.attempts else "[]" for entry in entries],
        }
        counts = list(zip(*[msgspec.structs.astuple(entry.usage) for entry in entries], strict=True))
        columns: list[Sequence[Any]] = []
        for name in USAGE.columns:
            if name in own:
                columns.append(own[name])
            elif name in _COUNTS:
                columns.append(counts[_COUNTS[name]])
            else:
                columns.append(list(map(attrgetter(name), self._source_of(name))))
        return columns

    def _source_of(self, name: str) -> Sequence[Any]:
        if name in UsageEntry.__struct_fields__:
            return self._entries
        return self._charges if name in Charge.__struct_fields__ else self._places
