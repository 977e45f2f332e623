"""Every call that changes something is audited, and no entry holds a secret."""

from __future__ import annotations

import json

from protos import auth_pb2, billing_pb2, router_pb2
from services.console import auditing

_SERVICES = {
    **{
        name: auth_pb2.DESCRIPTOR.services_by_name[name]
        for name in ("AuthAdmin", "AdminTokens", "Users", "Audit", "Alerts")
    },
    "RouterAdmin": router_pb2.DESCRIPTOR.services_by_name["RouterAdmin"],
    "BillingAdmin": billing_pb2.DESCRIPTOR.services_by_name["BillingAdmin"],
}


def test_each_method_of_the_admin_services_is_either_a_change_or_a_read() -> None:
    methods = {f"{name}.{method.name}" for name, service in _SERVICES.items() for method in service.methods}
    assert methods == set(auditing.CHANGES) | auditing.READS
    assert not set(auditing.CHANGES) & auditing.READS


def test_each_rule_names_fields_that_its_request_has() -> None:
    for name, change in auditing.CHANGES.items():
        service, _, method = name.partition(".")
        fields = _SERVICES[service].methods_by_name[method].input_type.fields_by_name
        for field in (change.target, change.account, change.dry_run):
            assert not field or field in fields, (name, field)


def test_secrets_are_left_out() -> None:
    user = auth_pb2.CreateUserRequest(email="ada@example.com", role="operator", password="hunter2-hunter2")
    assert "hunter2" not in auditing.as_json(user)
    accepted = auth_pb2.AcceptInvitationRequest(token="t0ken", password="hunter2-hunter2")
    assert auditing.as_json(accepted) == "{}"
    alert = auth_pb2.AlertSetting(account_id="a", secret="whsec_x")
    assert "whsec_x" not in auditing.as_json(alert)
    catalog = json.loads(auditing.as_json(router_pb2.ApplyRequest(source="models: []", source_name="c.yaml")))
    assert set(catalog) == {"source_name", "source_sha256"}


def test_a_dry_run_is_no_change() -> None:
    assert auditing.is_change("RouterAdmin.Apply", router_pb2.ApplyRequest(source="x"))
    assert not auditing.is_change("RouterAdmin.Apply", router_pb2.ApplyRequest(source="x", dry_run=True))
    assert not auditing.is_change("BillingAdmin.GetBalance", billing_pb2.GetBalanceRequest())


def test_an_entry_that_would_be_too_long_says_that_it_is_cut() -> None:
    request = billing_pb2.PostCreditRequest(account_id="a", note="x" * 100_000)
    text = auditing.as_json(request)
    assert len(text) < 32_000
    assert "truncated" in json.loads(text)
