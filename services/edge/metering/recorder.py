"""What the relay sees of the metering: hold before, record after, and whether a request may be admitted at all."""

from __future__ import annotations

import asyncio

from lumen.ledger.entries import UsageEntry
from lumen.platform.lifecycle import Lifecycle
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.lease_book import Hold
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.lease_lines import LimitedKey
from services.edge.metering.outbox import Outbox


class Metering:
    """`start`, then hold and record; `close` at drain, after the last request."""

    def __init__(self, identity: WorkerIdentity, outbox: Outbox, leases: LeaseClient) -> None:
        self._identity = identity
        self.outbox = outbox
        self.leases = leases

    async def start(self, lifecycle: Lifecycle) -> None:
        """Returns at once; `problem()` speaks until the ledger has said where to continue."""
        lifecycle.spawn(self.outbox.run(), name="metering-outbox")
        lifecycle.spawn(self.leases.run(), name="metering-leases")
        lifecycle.spawn(self._retire(), name="metering-retire")

    def problem(self) -> str | None:
        """Why no request may be admitted (503 before any provider is called), or None."""
        return self.outbox.problem() or self.leases.problem()

    async def hold(self, key: LimitedKey, amount_nanousd: int, least_nanousd: int | None = None) -> Hold:
        """Of the amount or, where that is not affordable, of as much as is, at least `least_nanousd` (None: all).

        Raises InsufficientCredits, KeySpendLimitReached, CreditsUnavailable.
        """
        return await self.leases.hold(key, amount_nanousd, least_nanousd)

    def cancel(self, hold: Hold) -> None:
        """Nothing was spent. Raises HoldEnded the second time."""
        self.leases.cancel(hold)

    def record(self, entry: UsageEntry, hold: Hold | None, cost_nanousd: int = 0) -> asyncio.Future[None]:
        """Submit the entry and settle its hold. The future resolves when the entry is safe.

        Cancelling the future (or whoever awaits it) loses nothing. Without a hold (a failed attempt's row beside the
        answering one) the entry alone is submitted.
        """
        recorded = self.outbox.submit(entry)
        if hold is not None:
            self.leases.settle(hold, cost_nanousd)
        return recorded

    async def close(self, timeout_s: float = 30.0) -> None:
        """Until every entry is in the ledger or spooled, then give the leases back. Call it before the tasks end."""
        await self.outbox.close(timeout_s)
        await self.leases.close()

    async def _retire(self) -> None:
        await self.outbox.recovered.wait()
        await self.leases.retire_earlier_boots(self._identity.worker_id, self._identity.boot)
