"""What finance's tests look at: booked once for all of them, as they share a stack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from lumen.money.usage import TokenUsage
from tests.integration.console.stack import Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance

M1 = 20_000  # nano-USD of one usage_entry with m1, and of its upstream cost: 10 x 1,000 + 5 x 2,000
M2 = 50_000
NOTHING: dict[str, Any] = {"is_billable": False, "usage": TokenUsage()}
HALF = M1 // 2  # in the group only_m1
DAY_US = 86_400_000_000
MIDNIGHT = datetime(2021, 3, 1, tzinfo=UTC)  # a Monday, and the first of a month: no other test writes around it
MIDNIGHT_US = int(MIDNIGHT.timestamp()) * 1_000_000


@pytest.fixture(scope="package")
def booked(stack: Stack) -> dict[str, str]:
    """Two accounts (`one`, `two`) with rows around a midnight that ends a day, a week and a month."""
    with stack.client() as client:
        ids = {
            name: client.post("/admin/v1/accounts", json={"name": f"fin-{name}"}).json()["id"]
            for name in ("one", "two")
        }
        one, two = ids["one"], ids["two"]
        stack.use(
            one,
            [
                usage_entry(one, "fin-1", key_id="fk1", started_at_us=MIDNIGHT_US - 1),
                usage_entry(one, "fin-2", key_id="fk1", started_at_us=MIDNIGHT_US + 0),
                usage_entry(one, "fin-3", key_id="fk2", model="m2", started_at_us=MIDNIGHT_US + DAY_US),
                # a cancelled attempt: cost to us, no revenue; one that the provider refused: neither; and one of a
                # channel that its catalog does not have: a dead letter, in no figure
                usage_entry(one, "fin-4", key_id="fk2", is_billable=False, started_at_us=MIDNIGHT_US + DAY_US),
                usage_entry(one, "fin-5", key_id="fk2", status=429, started_at_us=MIDNIGHT_US + DAY_US, **NOTHING),
                usage_entry(one, "fin-0", key_id="fk2", channel="nowhere", started_at_us=MIDNIGHT_US + DAY_US),
            ],
            f"edge-{one}",
        )  # fmt: skip
        stack.use(
            two,
            [usage_entry(two, "fin-6", group="only_m1", key_id="fk3", started_at_us=MIDNIGHT_US + 8 * DAY_US)],
            f"edge-{two}",
        )
        # late: written after all others, for the second before midnight
        stack.use(two, [usage_entry(two, "fin-7", key_id="fk3", started_at_us=MIDNIGHT_US - 1_000_000)], f"late-{two}")
        until_balance(client, one, -2 * M1 - M2)
        until_balance(client, two, -HALF - M1)
        rolled_up(client)
    return ids


def rolled_up(client: httpx.Client) -> None:
    """The proof recomputes what is due."""
    assert client.get("/admin/v1/reconcile").json()["is_ok"] is True
