"""What the leader's last message of our subject says about a lane's batches. Pure.

A batch is in the ledger when its *entries* are: the number alone does not tell ours from that of our own earlier
process whose last publish arrived late, after this process had asked where to continue. Such a late batch takes one
number, and ours move up by one (`shift`). Spooled records keep the number they were written with; hence the search by
entries, which gives the same answer after any number of restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lumen.ledger.entries import decode_batch


@dataclass(frozen=True, slots=True)
class LastMessage:
    """Of one subject: its batch number, stream sequence and payload."""

    number: int
    sequence: int
    payload: bytes


class Numbered(Protocol):
    @property
    def number(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Continue:
    """The first `in_ledger` batches are in; the others follow with their numbers raised by `shift`."""

    in_ledger: int
    shift: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Neither our past nor our next batch: another process uses our id, or the stream has lost messages."""

    detail: str


def are_same_entries(one: bytes, other: bytes) -> bool:
    return one == other or decode_batch(one).entries == decode_batch(other).entries


def candidates(batches: Sequence[Numbered], last: LastMessage) -> list[int]:
    """Indexes of the batches that may be the leader's last message; their payloads are worth comparing."""
    return [index for index, batch in enumerate(batches) if last.number - 2 <= batch.number <= last.number]


def settle(
    batches: Sequence[Numbered], last: LastMessage | None, match: int | None, *, is_start: bool, may_be_late: bool
) -> Continue | Contradiction:
    """`batches`: not known to be in the ledger, oldest first, numbers contiguous. `match`: the one whose entries `last`
    has. `is_start`: `batches` are what the spool kept, so any number of them may be in the ledger, not just the first.
    `may_be_late`: nothing of this boot is in the ledger yet, so `last` may be an earlier process's late batch."""
    if not batches or last is None:
        return Continue(0, 0)
    if match is not None:
        return Continue(match + 1, last.number - batches[match].number)
    first, final = batches[0].number, batches[-1].number
    if last.number == first - 1:
        return Continue(0, 0)
    if is_start and last.number > final:
        return Continue(len(batches), 0)
    if may_be_late and last.number == first:
        return Continue(0, 1)
    return Contradiction(f"the ledger's last batch is {last.number}, ours are {first} to {final}")
