"""Ten thousand accounts with a key each, made by the admin API as an operator's script would."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

import httpx

_CONCURRENCY = 16
_ATTEMPTS = 5


async def make_keys(admin_url: str, admin_token: str, count: int, *, credit_usd: str = "1000") -> list[str]:
    """Secrets of `count` keys, each of an account of its own with credit. Raises httpx.HTTPError."""
    prefix = f"bench-{secrets.token_hex(4)}"
    gate = asyncio.Semaphore(_CONCURRENCY)
    async with httpx.AsyncClient(
        base_url=admin_url, headers={"authorization": f"Bearer {admin_token}"}, timeout=30
    ) as client:

        async def post(path: str, body: Mapping[str, str]) -> dict[str, str]:
            for attempt in range(_ATTEMPTS):
                answer = await client.post(path, json=body)
                if answer.status_code < 500 or attempt == _ATTEMPTS - 1:
                    break
                await asyncio.sleep(0.5)
            answer.raise_for_status()
            found: dict[str, str] = answer.json()
            return found

        async def make(number: int) -> str:
            async with gate:
                account = (await post("/admin/v1/accounts", {"name": f"{prefix}-{number}"}))["id"]
                credit = {"amount_usd": credit_usd, "reference": f"{prefix}-{number}"}
                await post(f"/admin/v1/accounts/{account}/credits", credit)
                return (await post("/admin/v1/keys", {"account": account, "group": "default"}))["secret"]

        return await asyncio.gather(*(make(number) for number in range(count)))
