"""Names, ids and limits of accounts and keys; what workers may send."""

from __future__ import annotations

import pytest

from protos import auth_pb2
from services.auth import grpc_requests, records
from services.auth.errors import ERRORS, AuthError, InvalidRequest
from services.auth.key_rules import KeyOrder
from services.auth.records import AccountRecord, KeyRecord


def test_names_that_differ_in_case_only_share_an_index_key() -> None:
    assert records.name_key("STRASSE") == records.name_key("straße") != records.name_key("street")
    assert records.is_name_key(records.name_key("x"))
    assert not records.is_name_key("acct_1")


def test_records_survive_storage_and_ignore_fields_of_later_releases() -> None:
    account = AccountRecord("acct_1", "Acme", records.ACTIVE, 1)
    assert records.decode_account(records.encode_record(account)) == account
    key = KeyRecord("key_1", "acct_1", "g", "n", "sk-", 1, ips=["::1/128"], rpm=3)
    assert records.decode_key(records.encode_record(key)) == key
    assert records.decode_account(b'{"id":"a","name":"n","status":"active","created_at_s":1,"colour":"red"}').id == "a"


def test_networks_are_canonical_and_listed_once() -> None:
    order = KeyOrder("acct_1", "g", ips=["10.1.1.1/8", "10.0.0.0/8", "2001:DB8::1"])
    assert order.networks() == ["10.0.0.0/8", "2001:db8::1/128"]


def test_expiry_must_lie_in_the_future() -> None:
    KeyOrder("acct_1", "g", expires_at_s=101).validate(100)
    KeyOrder("acct_1", "g").validate(100)
    with pytest.raises(InvalidRequest):
        KeyOrder("acct_1", "g", expires_at_s=100).validate(100)


@pytest.mark.parametrize("text", ["", "w", "w.", ".1", "w.x", "w.1.", "w:1.1", "w\n.1", "w.²"])
def test_lease_that_is_not_worker_dot_boot_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        grpc_requests.lease_of(text)


def test_worker_id_may_contain_dots() -> None:
    assert grpc_requests.lease_of("edge.zone-a.17") == "edge.zone-a.17"


def test_renewal_keeps_the_order_of_its_books() -> None:
    lease, books = grpc_requests.renewal(
        auth_pb2.RenewRequest(
            lease_id="w.1",
            totals=[auth_pb2.LeaseTotals(account_id="b", key_id="k"), auth_pb2.LeaseTotals(account_id="a")],
        )
    )
    assert lease == "w.1"
    assert [found.member for found in books] == ["key:b:k", "a"]


def test_every_error_has_its_row() -> None:
    found = [AuthError]
    while found:
        error = found.pop()
        found += error.__subclasses__()
        assert error.kind in ERRORS
