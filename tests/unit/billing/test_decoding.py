"""What a ledger message yields: entries and flaws, never an exception."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.ledger import keyspace
from lumen.ledger.entries import AMOUNT_NANOUSD_MAX, Batch, CreditEntry, Entry, encode_batch
from lumen.money.usage import TokenUsage
from services.billing.decoding import Reason, decode_message
from tests.integration.billing.conftest import NOON_US, usage_entry

PARTITION = keyspace.partition_of("acc")


def decode(entries: list[Entry], number: int = 1) -> tuple[list[int], list[tuple[int, Reason]]]:
    decoded = decode_message(PARTITION, "edge-1", encode_batch(Batch("edge-1", PARTITION, number, entries)))
    return [index for index, _ in decoded.entries], [(flaw.index, flaw.reason) for flaw in decoded.flaws]


def credit(**overrides: object) -> CreditEntry:
    fields = {"account": "acc", "amount_nanousd": 5, "kind": "topup", "source": "paid", "reference": "r"}
    return CreditEntry(**{**fields, "created_at_us": NOON_US, **overrides})  # type: ignore[arg-type]


def test_a_good_batch_has_no_flaws() -> None:
    assert decode([usage_entry("acc", "a"), credit()]) == ([0, 1], [])


@pytest.mark.parametrize(
    "entry",
    [
        usage_entry("acc", "a", started_at_us=0),
        usage_entry("acc", "a", started_at_us=9_999_999_999_999_999),
        usage_entry("acc", "a", status=70_000),
        usage_entry("acc", "a", status=-1),
        usage_entry("acc", "a", duration_us=-1),
        usage_entry("acc", "a", lease_boot=1 << 63),
        usage_entry("acc", "a", catalog_revision=0),
        usage_entry("acc", "a", hold_nanousd=AMOUNT_NANOUSD_MAX),
        usage_entry("acc", "a", usage=TokenUsage(input=-1)),
        usage_entry("acc", "a", usage=TokenUsage(reasoning=1 << 63)),
        credit(kind="gift"),
        credit(source="stolen"),
        credit(amount_nanousd=AMOUNT_NANOUSD_MAX),
        credit(amount_nanousd=-AMOUNT_NANOUSD_MAX),
        credit(created_at_us=-5),
        credit(expires_at_s=1 << 40),
    ],
)
def test_figures_no_honest_producer_writes_are_flaws(entry: Entry) -> None:
    assert decode([usage_entry("acc", "b"), entry]) == ([0], [(1, Reason.ENTRY_IMPLAUSIBLE)])


def test_an_account_of_another_partition_is_misplaced() -> None:
    other = next(name for name in map(str, range(1000)) if keyspace.partition_of(name) != PARTITION)
    assert decode([usage_entry(other, "a"), usage_entry("acc", "b")]) == ([1], [(0, Reason.ENTRY_MISPLACED)])


def test_an_empty_batch_is_a_flaw_that_keeps_its_number() -> None:
    decoded = decode_message(PARTITION, "edge-1", encode_batch(Batch("edge-1", PARTITION, 9, [])))
    assert decoded.batch_number == 9
    assert [flaw.reason for flaw in decoded.flaws] == [Reason.BATCH_EMPTY]


@pytest.mark.parametrize(
    "batch",
    [Batch("edge-2", PARTITION, 1, []), Batch("edge-1", PARTITION + 1, 1, []), Batch("edge-1", PARTITION, 0, [])],
)
def test_a_batch_that_is_not_what_its_subject_says_is_kept_whole(batch: Batch) -> None:
    payload = encode_batch(batch)
    (flaw,) = decode_message(PARTITION, "edge-1", payload).flaws
    assert (flaw.reason, flaw.payload) == (Reason.BATCH_MISPLACED, payload)


def test_one_unreadable_entry_does_not_cost_the_others() -> None:
    raws = [msgspec.Raw(msgspec.msgpack.encode(item)) for item in (usage_entry("acc", "a"), {"what": 1}, credit())]
    payload = msgspec.msgpack.encode(["edge-1", PARTITION, 4, raws, 1])
    decoded = decode_message(PARTITION, "edge-1", payload)
    assert ([index for index, _ in decoded.entries], decoded.batch_number) == ([0, 2], 4)
    assert [(flaw.index, flaw.reason) for flaw in decoded.flaws] == [(1, Reason.ENTRY_UNREADABLE)]


def test_a_cut_message_keeps_the_batch_number_of_its_head() -> None:
    payload = msgspec.msgpack.encode(["edge-1", PARTITION, 4, "not a list"])
    decoded = decode_message(PARTITION, "edge-1", payload)
    assert (decoded.batch_number, decoded.flaws[0].reason) == (4, Reason.MESSAGE_UNREADABLE)


def test_nesting_without_end_and_text_that_is_not_utf8_are_unreadable() -> None:
    for payload in (b"\x91" * 500_000, b"\x94\xa1\x80\x01\x01\x90"):
        assert decode_message(PARTITION, "edge-1", payload).flaws[0].reason is Reason.MESSAGE_UNREADABLE


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_something(payload: bytes) -> None:
    decoded = decode_message(PARTITION, "edge-1", payload)
    assert decoded.flaws or decoded.entries


@given(st.data())
def test_any_damage_to_a_batch_decodes_to_something(data: st.DataObject) -> None:
    payload = bytearray(encode_batch(Batch("edge-1", PARTITION, 1, [usage_entry("acc", "a"), credit()])))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decode_message(PARTITION, "edge-1", bytes(payload))
