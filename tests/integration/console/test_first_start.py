"""`lumen up` makes its demo account through this API (`deploy.local.demo_setup`), and may be interrupted halfway."""

from __future__ import annotations

import asyncio

import httpx

from deploy.local.demo_setup import AdminApi, create_demo
from tests.integration.console.people import Person
from tests.integration.console.stack import CATALOG, TOKEN, Stack


def test_first_start_may_be_repeated_and_credits_once(stack: Stack, client: httpx.Client) -> None:
    async def start_twice() -> tuple[dict[str, str], dict[str, str]]:
        async with AdminApi(stack.url, TOKEN) as api:
            await api.apply_catalog(CATALOG, "catalog.yaml")
            return await create_demo(api, "a demo password"), await create_demo(api, "another, later")

    first, second = asyncio.run(start_twice())
    assert first["LUMEN_ACCOUNT"] == second["LUMEN_ACCOUNT"]
    assert first["LUMEN_API_KEY"] != second["LUMEN_API_KEY"]
    users = {user["email"]: user["role"] for user in client.get("/admin/v1/users").json()["users"]}
    assert users.items() >= {f"{role}@lumen.example": role for role in ("member", "operator", "finance")}.items()
    person = Person(stack, email="member@lumen.example")
    with person.client:
        assert person.sign_in("a demo password").status_code == 303  # the first one stays
    assert client.get("/admin/v1/accounts/demo/balance").json()["balance_usd"] == "25"
