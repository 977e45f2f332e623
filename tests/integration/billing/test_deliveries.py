"""Deliveries that come twice, out of order or not at all: billing reads by position and notices each of them."""

from __future__ import annotations

import dataclasses

from lumen.ledger import keyspace
from lumen.platform import nats as platform_nats
from tests.integration.billing.conftest import RunningBilling, World, eventually
from tests.integration.billing.nats_proxy import TamperingProxy

_ACCOUNTS = 12
_ROUNDS = 20


async def test_duplicate_reordered_and_missing_deliveries_change_nothing(world: World) -> None:
    async with TamperingProxy(world.settings.nats_url, percent=3) as proxy:
        nc = await platform_nats.connect(proxy.url, name="billing-tampered")
        billing = RunningBilling(dataclasses.replace(world, nc=nc), range(keyspace.PARTITIONS))
        try:
            for number in range(_ACCOUNTS):
                await world.credit(f"acc-{number}", 1_000_000)
            for _ in range(_ROUNDS):
                for number in range(_ACCOUNTS):
                    await world.use(f"acc-{number}", count=3)
            await eventually(world.balances_agree, timeout_s=60)
        finally:
            await billing.kill()
            await nc.close()
    entries = _ACCOUNTS * _ROUNDS * 3
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(entries, entries)]
    assert all(proxy.tampered.values()), proxy.tampered
