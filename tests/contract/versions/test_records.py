"""What earlier versions stored is read with the same meaning, and what this one stores is read by them.

`golden/<date>/` holds bytes as the code of that day wrote them. They are never written again: a version adds a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lumen.catalog.revisions import decode_revision
from lumen.ledger.entries import Attempt, Batch, BatchHead, CreditEntry, UsageEntry, decode_batch, encode_batch
from lumen.ledger.keyspace import partition_of
from lumen.money.usage import TokenUsage
from services.auth.records import AccountRecord, KeyRecord, decode_account, decode_key, encode_record
from services.billing.decoding import decode_message

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())

_USAGE = UsageEntry(
    request_id="req-1",
    account="acct-a",
    key_id="key-a",
    group="default",
    model="model-a",
    channel="channel-a",
    upstream_model="upstream-a",
    client_dialect="openai_chat",
    upstream_dialect="anthropic_messages",
    catalog_revision=7,
    started_at_us=1_764_000_000_000_000,
    duration_us=1_500_000,
    ttft_us=250_000,
    status=200,
    is_stream=True,
    finish_reason="stop",
    usage=TokenUsage(input=11, cache_read=22, cache_write_5m=33, output=44, reasoning=5),
    is_estimated=False,
    is_billable=True,
    hold_nanousd=123_456_789,
    lease_boot=42,
    key_has_spend_limit=True,
    modifiers={"service_tier": "priority"},
    attempts=[Attempt("channel-b", 529, "status", 1000), Attempt("channel-a", 200, "ok", 1_400_000, 250_000)],
)
_PLAIN = msgspec.structs.replace(
    _USAGE,
    request_id="req-2",
    upstream_dialect="openai_chat",
    started_at_us=1_764_000_000_000_001,
    duration_us=1,
    ttft_us=0,
    status=499,
    is_stream=False,
    finish_reason="",
    usage=TokenUsage(),
    is_estimated=True,
    is_billable=False,
    hold_nanousd=0,
    key_has_spend_limit=False,
    modifiers={},
    attempts=[],
)
_CREDIT = CreditEntry(
    account="acct-a",
    amount_nanousd=-5_000_000_000,
    kind="refund",
    source="paid",
    reference="reference-1",
    created_at_us=1_764_000_000_000_002,
    paid_amount="5.00",
    paid_currency="USD",
    note="a note",
    expires_at_s=1_800_000_000,
)
_BATCH = Batch("worker-1", partition_of("acct-a"), 3, [_USAGE, _PLAIN, _CREDIT])
_ACCOUNT = AccountRecord("acct-a", "Account A", "active", 1_764_000_000)
_KEY = KeyRecord(
    key_id="key-a",
    account_id="acct-a",
    group="default",
    name="a name",
    prefix="sk-lumen-ab",
    created_at_s=1_764_000_000,
    expires_at_s=1_900_000_000,
    models=["model-*"],
    ips=["10.0.0.0/8"],
    spend_limit_nanousd=7_000_000_000,
    rpm=60,
    tpm=1000,
    revoked_at_s=1_764_000_001,
)


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest) -> Path:
    return GOLDEN / str(request.param)


def test_a_batch_of_an_earlier_version_says_the_same(golden: Path) -> None:
    payload = (golden / "batch.msgpack").read_bytes()
    assert decode_batch(payload) == _BATCH
    decoded = decode_message(_BATCH.partition, _BATCH.producer, payload)
    assert [entry for _, entry in decoded.entries] == _BATCH.entries
    assert decoded.flaws == []


def test_accounts_and_keys_of_an_earlier_version_say_the_same(golden: Path) -> None:
    assert decode_account((golden / "account.json").read_bytes()) == _ACCOUNT
    assert decode_key((golden / "key.json").read_bytes()) == _KEY


def test_a_catalog_of_an_earlier_version_says_the_same(golden: Path) -> None:
    stored = decode_revision((golden / "catalog_revision.json").read_bytes())
    assert (stored.note, stored.created_at_s) == ("golden", 1_764_000_000)
    catalog = stored.read_catalog()
    (model,), (group,), (channel,) = catalog.models, catalog.groups, catalog.channels
    assert (model.code, group.multiplier, channel.models) == ("model-a", "1.5", {"model-a": "upstream-a"})
    assert {name: str(price) for name, price in model.price.items()} == {
        "input": "5",
        "output": "25",
        "cache_read": "0.5",
    }


# ---- the other way round: the shapes are what an earlier version knows

_KNOWN = {UsageEntry: 24, CreditEntry: 10, Attempt: 5, TokenUsage: 10}  # fields in golden/2026-11-25; append only


def _shape(struct: type, fields: int | None, more: list[tuple[str, type, Any]] | None = None) -> type:
    """The same struct as another version has it: its first `fields`, or all and `more`."""
    infos = msgspec.structs.fields(struct)[:fields]
    members: list[Any] = [_member(info) for info in infos]
    config = struct.__struct_config__  # type: ignore[attr-defined]
    return msgspec.defstruct(
        struct.__name__, members + (more or []), array_like=config.array_like, tag=config.tag, frozen=True
    )


def _member(info: msgspec.structs.FieldInfo) -> Any:
    if info.default is not msgspec.NODEFAULT:
        return info.name, info.type, info.default
    if info.default_factory is not msgspec.NODEFAULT:
        return info.name, info.type, msgspec.field(default_factory=info.default_factory)
    return info.name, info.type


def _same(found: Any, expected: Any) -> bool:
    return all(getattr(found, name) == getattr(expected, name) for name in found.__struct_fields__ if name != "later")


@pytest.mark.parametrize("entry", [_USAGE, msgspec.structs.replace(_USAGE, traceparent="00-1-2-01"), _PLAIN, _CREDIT])
def test_an_entry_of_today_is_read_by_an_earlier_version(entry: UsageEntry | CreditEntry) -> None:
    earlier = _shape(type(entry), _KNOWN[type(entry)])
    found: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=earlier)
    assert len(found.__struct_fields__) == _KNOWN[type(entry)]
    assert _same(found, entry)


@pytest.mark.parametrize("entry", [_USAGE, _CREDIT])
def test_an_entry_of_a_later_version_is_read_by_this_one(entry: UsageEntry | CreditEntry) -> None:
    later = _shape(type(entry), None, [("later", dict[str, int], msgspec.field(default_factory=dict))])
    written = later(*(getattr(entry, name) for name in entry.__struct_fields__), {"more": 1})
    batch = msgspec.msgpack.encode(["worker-1", _BATCH.partition, 3, [written], 1, "and more of the batch"])
    assert decode_batch(batch).entries == [entry]
    assert msgspec.msgpack.decode(batch, type=BatchHead).number == 3


def test_the_order_of_fields_on_the_wire_is_what_it_was() -> None:
    for golden_batch in (GOLDEN / VERSIONS[0]).glob("batch.msgpack"):
        old = msgspec.msgpack.decode(golden_batch.read_bytes())
        new = msgspec.msgpack.decode(encode_batch(_BATCH))
        assert new[:3] == old[:3]
        for before, now in zip(old[3], new[3], strict=True):
            assert now[: len(before)] == before


@pytest.mark.parametrize("record", [_ACCOUNT, _KEY])
def test_a_record_of_a_later_version_is_read_by_this_one(record: AccountRecord | KeyRecord) -> None:
    value = msgspec.json.decode(encode_record(record)) | {"later": {"deep": [1]}}
    decode = decode_account if isinstance(record, AccountRecord) else decode_key
    assert decode(msgspec.json.encode(value)) == record


def test_a_catalog_of_a_later_version_is_read_by_this_one() -> None:
    stored = msgspec.json.decode((GOLDEN / VERSIONS[0] / "catalog_revision.json").read_bytes())
    stored["later"] = 1
    catalog = stored["catalog"]
    catalog["later"] = []
    for part in ("models", "groups", "channels"):
        catalog[part][0]["later"] = {"deep": [1]}
    read = decode_revision(msgspec.json.encode(stored)).read_catalog()
    assert read == decode_revision((GOLDEN / VERSIONS[0] / "catalog_revision.json").read_bytes()).read_catalog()
