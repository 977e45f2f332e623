"""`lumen up` makes its demo account through this API (`deploy.local.demo_setup`), and may be interrupted halfway."""

from __future__ import annotations

import asyncio

import httpx

from deploy.local.demo_setup import AdminApi, create_demo
from tests.integration.console.stack import CATALOG, TOKEN, Stack


def test_first_start_may_be_repeated_and_credits_once(stack: Stack, client: httpx.Client) -> None:
    async def start_twice() -> tuple[dict[str, str], dict[str, str]]:
        async with AdminApi(stack.url, TOKEN) as api:
            await api.apply_catalog(CATALOG, "catalog.yaml")
            return await create_demo(api, "a demo password"), await create_demo(api, "a demo password")

    first, second = asyncio.run(start_twice())
    assert first["LUMEN_ACCOUNT"] == second["LUMEN_ACCOUNT"]
    assert first["LUMEN_API_KEY"] != second["LUMEN_API_KEY"]
    assert client.get("/admin/v1/accounts/demo/balance").json()["balance_usd"] == "25"
