"""Forming numbered batches, and what the leader's last message says about them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from lumen.ledger.entries import Batch, CreditEntry, decode_batch, encode_batch
from services.edge.metering.lane import BATCH_BYTES_MAX, Lane, encode_entries, renumbered
from services.edge.metering.settlement import Continue, Contradiction, LastMessage, are_same_entries, candidates, settle

_ENTRY = CreditEntry("acc", 1, "topup", "paid", "ref", 1_793_534_400_000_000)


@dataclass
class Numbered:
    number: int


def ours(*numbers: int) -> list[Numbered]:
    return [Numbered(number) for number in numbers]


def last(number: int) -> LastMessage:
    return LastMessage(number, 77, b"")


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 256, 1000, 65535])
def test_entries_encoded_one_by_one_make_the_codecs_bytes(count: int) -> None:
    batch = Batch("edge-test", 63, 2**40, [_ENTRY] * count)
    one = encode_batch(Batch("e", 1, 1, [_ENTRY]))
    entry = one[one.index(b"\x91") + 1 : -1]
    assert encode_entries("edge-test", 63, 2**40, [entry] * count) == encode_batch(batch)


def test_a_renumbered_batch_has_the_same_entries() -> None:
    payload = encode_batch(Batch("edge-test", 1, 5, [_ENTRY]))
    assert decode_batch(renumbered(payload, 6)).number == 6
    assert are_same_entries(payload, renumbered(payload, 6))
    assert not are_same_entries(payload, encode_batch(Batch("edge-test", 1, 5, [])))


async def test_a_batch_stays_below_the_caps_and_an_oversized_entry_goes_alone() -> None:
    lane = Lane(0, "edge-test")
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sizes = [200_000, 200_000, 200_000, BATCH_BYTES_MAX + 1, *[10] * 1500]
    for size in sizes:
        lane.add(b"\xc4" * size, future, 0.0)
    while lane.form(0.0) is not None:
        pass
    assert [batch.entries for batch in lane.batches] == [2, 1, 1, 1000, 500]
    assert [batch.number for batch in lane.batches] == [1, 2, 3, 4, 5]
    assert lane.pending_bytes == 0


@pytest.mark.parametrize(
    ("batches", "last_number", "match", "is_start", "may_be_late", "expected"),
    [
        ([5], 5, 0, False, False, Continue(1, 0)),  # ours arrived, its ack did not
        ([5], 4, None, False, False, Continue(0, 0)),  # ours did not arrive
        ([5], 5, None, False, True, Continue(0, 1)),  # an earlier process's late batch took the number
        ([5], 5, None, False, False, "contradiction"),  # a stranger did
        ([5], 6, None, False, True, "contradiction"),
        ([5], 3, None, False, False, "contradiction"),  # the stream lost messages
        ([5, 6, 7], 4, None, True, True, Continue(0, 0)),
        ([5, 6, 7], 6, 1, True, True, Continue(2, 0)),
        ([5, 6, 7], 7, 2, True, True, Continue(3, 0)),
        ([5, 6, 7], 9, None, True, True, Continue(3, 0)),
        ([5, 6, 7], 5, None, True, True, Continue(0, 1)),
        ([5, 6, 7], 6, 0, True, True, Continue(1, 1)),  # moved up before the restart
        ([5, 6, 7], 6, None, True, True, "contradiction"),
        ([5, 6, 7], 2, None, True, True, "contradiction"),
    ],
)
def test_the_last_message_settles_what_is_in_the_ledger(
    batches: list[int],
    last_number: int,
    match: int | None,
    is_start: bool,
    may_be_late: bool,
    expected: Continue | str,
) -> None:
    verdict = settle(ours(*batches), last(last_number), match, is_start=is_start, may_be_late=may_be_late)
    if isinstance(expected, str):
        assert isinstance(verdict, Contradiction)
    else:
        assert verdict == expected


def test_an_empty_subject_keeps_everything() -> None:
    assert settle(ours(5), None, None, is_start=False, may_be_late=False) == Continue(0, 0)
    assert settle([], last(9), None, is_start=True, may_be_late=True) == Continue(0, 0)


def test_only_batches_near_the_last_number_are_compared() -> None:
    assert candidates(ours(1, 2, 3, 4, 5, 6), last(4)) == [1, 2, 3]
