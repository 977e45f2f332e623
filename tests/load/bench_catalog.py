"""The demo catalog, with what the bench needs besides: channels without a limit that load would meet, and a model that
only Anthropic's dialect reaches, so that a chat client's stream is translated."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import yaml

from tests.fixtures.stack import Stack
from tests.load import stamped_upstream

TRANSLATED_MODEL = "bench-translated"
_UPSTREAM_MODEL = "claude-sonnet-4-6"
_CONCURRENCY = 16_384
_AT_ONCE = 16


def apply_bench_catalog(stack: Stack, *, stamped_port: int | None = None) -> None:
    """`stamped_port`: also the model of `stamped_upstream`, which listens there."""
    catalog: dict[str, Any] = yaml.safe_load((stack.state_dir / "catalog.yaml").read_text())
    for channel in catalog["channels"]:
        channel["limits"] = {"concurrency": _CONCURRENCY}
    model = next(each for each in catalog["models"] if each["code"] == _UPSTREAM_MODEL)
    catalog["models"].append({**model, "code": TRANSLATED_MODEL, "name": "translated", "aliases": []})
    channel = catalog["channels"][0]
    dialects = {"anthropic_messages": channel["dialects"]["anthropic_messages"]}
    models = {TRANSLATED_MODEL: _UPSTREAM_MODEL}
    catalog["channels"].append({**channel, "name": TRANSLATED_MODEL, "dialects": dialects, "models": models})
    if stamped_port is not None:
        catalog["models"].append({**model, "code": stamped_upstream.MODEL, "name": "stamped", "aliases": []})
        dialects = {"openai_chat": f"http://127.0.0.1:{stamped_port}/v1"}
        models = {stamped_upstream.MODEL: "m"}
        catalog["channels"].append({**channel, "name": "stamped", "dialects": dialects, "models": models})
    stack.admin("POST", "/catalog", {"content": yaml.safe_dump(catalog), "source_name": "bench"})


def make_keys(stack: Stack, count: int) -> list[str]:
    """So many accounts with credits, and one key of each."""
    env = stack.env

    async def make() -> list[str]:
        headers = {"authorization": f"Bearer {env['LUMEN_ADMIN_TOKEN']}"}
        gate = asyncio.Semaphore(_AT_ONCE)
        url = f"{env['LUMEN_ADMIN_URL']}/admin/v1/"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:

            async def post(path: str, document: dict[str, Any]) -> Any:
                answer = await client.post(path, json=document)
                answer.raise_for_status()
                return answer.json()

            async def one(number: int) -> str:
                async with gate:
                    account = (await post("accounts", {"name": f"bench-{number}"}))["id"]
                    await post(f"accounts/{account}/credits", {"amount_usd": "100", "kind": "topup"})
                    return str((await post("keys", {"account": account, "group": "default"}))["secret"])

            return list(await asyncio.gather(*(one(number) for number in range(count))))

    return asyncio.run(make())
