"""Scoped tokens: each scope against each endpoint, and what is no token any more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lumen.cli.exit_codes import ExitCode
from tests.integration.console.stack import PLAYGROUND, Stack
from tests.unit.console.openapi import OPERATIONS

MakeToken = Callable[..., dict[str, Any]]


@pytest.fixture
def make_token(client: httpx.Client) -> MakeToken:
    def make(scope: str, **more: str) -> dict[str, Any]:
        answer = client.post("/admin/v1/tokens", json={"name": f"for {scope}", "scope": scope, **more})
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    return make


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        ("read_only", ("GET", "/finance/margins"), ("POST", "/accounts/nobody/credits")),
        ("finance", ("POST", "/accounts/nobody/credits"), ("POST", "/keys")),
        ("keys", ("POST", "/keys/key_none/revoke"), ("GET", "/finance/margins")),
        ("full", ("GET", "/tokens"), None),
    ],
)
def test_a_scope_reaches_what_it_is_for_and_nothing_else(
    stack: Stack, make_token: MakeToken, scope: str, allowed: tuple[str, str], refused: tuple[str, str] | None
) -> None:
    with stack.client(make_token(scope)["secret"]) as client:
        answer = client.request(allowed[0], f"/admin/v1{allowed[1]}", json={"amount_usd": "1"})
        assert answer.status_code in (200, 404), answer.text
        if refused is not None:
            answer = client.request(refused[0], f"/admin/v1{refused[1]}", content=b"{broken")
            assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "forbidden")


@pytest.mark.parametrize("token", ["", "-", "sk-lumen-admin-unknown", "sk-lumen-admin-" + "x" * 500, "\xe9"])
def test_without_a_token_every_operation_is_401(stack: Stack, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode("latin-1")} if token else {}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False) as client:  # type: ignore[arg-type]
        for method, path in OPERATIONS:
            answer = client.request(method, path, content=b"{broken")
            assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "unauthorized"), (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_token_is_refused_from_the_next_request_on(
    stack: Stack, client: httpx.Client, make_token: MakeToken
) -> None:
    token = make_token("read_only")
    with stack.client(token["secret"]) as reader:
        assert reader.get("/admin/v1/accounts").status_code == 200
        assert client.post(f"/admin/v1/tokens/{token['id']}/revoke").json()["revoked_at"]
        assert reader.get("/admin/v1/accounts").status_code == 401
    again = client.post(f"/admin/v1/tokens/{token['id']}/revoke")
    assert again.status_code == 200
    assert client.post("/admin/v1/tokens/tok_none/revoke").json()["error"]["kind"] == "token_not_found"


def test_an_expired_token_is_refused(stack: Stack, make_token: MakeToken) -> None:
    with stack.client(make_token("full", expires="1s")["secret"]) as client:
        deadline = time.monotonic() + 10
        while client.get("/admin/v1/accounts").status_code != 401:
            assert time.monotonic() < deadline


def test_secrets_are_shown_once_and_the_maker_is_named(
    stack: Stack, client: httpx.Client, make_token: MakeToken
) -> None:
    made = make_token("full")
    secret = made.pop("secret")
    assert secret.startswith(made["prefix"])
    with stack.client(secret) as other:
        made_by_it = other.post("/admin/v1/tokens", json={"name": "second", "scope": "read_only"}).json()
    assert (made["created_by"], made_by_it["created_by"]) == ("root", made["id"])
    listed = client.get("/admin/v1/tokens", params={"limit": 1000})
    assert made in listed.json()["tokens"]
    assert secret not in listed.text
    for service in ("auth", "console"):
        assert secret not in (stack.state_dir / f"{service}.log").read_text()


def test_tokens_from_the_command(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir), "--json")
    made = json.loads(stack.lumen("token", "create", "ci", "--scope", "keys", "--expires", "30d", *option).stdout)
    env = {"LUMEN_ADMIN_URL": stack.url, "LUMEN_ADMIN_TOKEN": made["secret"]}
    assert stack.lumen("key", "list", **env).returncode == ExitCode.OK
    refused = stack.lumen("reconcile", **env)
    assert (refused.returncode, "scope keys" in refused.stderr) == (ExitCode.FAILURE, True)
    assert made["id"] in stack.lumen("token", "list", *option[:2]).stdout
    assert json.loads(stack.lumen("token", "revoke", made["id"], *option).stdout)["revoked_at"]


def test_an_idempotency_key_is_one_credit(client: httpx.Client, new_account: Callable[[], str]) -> None:
    path = f"/admin/v1/accounts/{new_account()}/credits"
    headers = {"Idempotency-Key": "order-4711"}
    first = client.post(path, json={"amount_usd": "3"}, headers=headers)
    again = client.post(path, json={"amount_usd": "3"}, headers=headers)
    assert (first.status_code, again.status_code, first.json()["reference"]) == (201, 200, "order-4711")
    other = client.post(path, json={"amount_usd": "4"}, headers=headers)
    assert (other.status_code, other.json()["error"]["kind"]) == (409, "reference_conflict")
    both = client.post(path, json={"amount_usd": "3", "reference": "another"}, headers=headers)
    assert (both.status_code, both.json()["error"]["problems"][0]["field"]) == (422, "reference")


@pytest.mark.parametrize("name", ["accounts", "keys", "tokens"])
def test_lists_come_in_pages(
    client: httpx.Client, new_account: Callable[[], str], make_token: MakeToken, name: str
) -> None:
    for _ in range(3):
        client.post("/admin/v1/keys", json={"account": new_account(), "group": "default"})
        make_token("read_only")
    whole = client.get(f"/admin/v1/{name}", params={"limit": 1000}).json()
    assert whole["next_cursor"] is None
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(f"/admin/v1/{name}", params={"limit": 2, "cursor": cursor}).json()
        assert 1 <= len(page[name]) <= 2
        paged += page[name]
        cursor = page["next_cursor"]
    assert paged == whole[name]
    assert client.get(f"/admin/v1/{name}", params={"cursor": "WyJ4Il0"}).status_code == 422


def test_the_playgrounds_origin_may_call_and_others_may_not(stack: Stack, client: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, is_allowed in ((PLAYGROUND, True), ("https://evil.example", False)):
        preflight = httpx.options(f"{stack.url}/admin/v1/keys", headers={"Origin": origin, **asked}, trust_env=False)
        assert (preflight.headers.get("access-control-allow-origin") == origin) is is_allowed
        answer = client.get("/admin/v1/accounts", headers={"Origin": origin})
        assert answer.status_code == 200
        assert (answer.headers.get("access-control-allow-origin") == origin) is is_allowed
        assert "access-control-allow-credentials" not in answer.headers
