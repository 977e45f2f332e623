"""Rating: what an entry costs the account and what it costs us, by the catalog revision that priced its hold.

A pure function of (entry, revision): revisions are immutable keys `rev.<n>`, kept for ever, so any charge can be
recomputed. A revision that is not there yet is waited for; it is never a reason to drop an entry.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from lumen.ledger.entries import UsageEntry

logger = logging.getLogger(__name__)

_WAIT_S_MIN = 0.1
_WAIT_S_MAX = 2.0


class NotRatable(Exception):
    """The revision has no price for this entry; it becomes a dead letter."""


class RevisionMissing(Exception):
    """The revisions did not appear within one bounded wait; the caller tries again, with the entries unposted."""

    def __init__(self, revisions: Iterable[int]) -> None:
        self.revisions = sorted(revisions)
        super().__init__(f"catalog revisions not found: {self.revisions[:10]}")


class Charge(msgspec.Struct, frozen=True, gc=False):
    """Nano-USD. `cost`: the account pays; `upstream_cost`: the provider charges us."""

    cost_nanousd: int
    upstream_cost_nanousd: int


class Rates(Protocol):
    """One revision's prices."""

    def charge(self, entry: UsageEntry) -> Charge:
        """Raises NotRatable."""


class RateBook:
    """Catalog revisions by number, the recently used ones in memory.

    `fetch(revision)` answers the revision's content, or None while it is not there; it may raise what the transport
    raises. `compile_rates` turns the content into rates, or raises ValueError; such a revision counts as missing: it
    takes an operator, not a guess, to say what its entries cost.
    """

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[bytes | None]],
        compile_rates: Callable[[bytes], Rates],
        *,
        revisions_max: int = 128,
    ) -> None:
        self._fetch = fetch
        self._compile_rates = compile_rates
        self._revisions_max = revisions_max
        self._rates: OrderedDict[int, Rates] = OrderedDict()

    async def rates_for(self, revisions: set[int], *, wait_s_max: float = 10.0) -> dict[int, Rates]:
        """The rates of all `revisions`, however many. Raises RevisionMissing after `wait_s_max`."""
        found: dict[int, Rates] = {}
        for revision in revisions:
            if (known := self._rates.get(revision)) is not None:
                self._rates.move_to_end(revision)
                found[revision] = known
        deadline = asyncio.get_running_loop().time() + wait_s_max
        pause_s = _WAIT_S_MIN
        while missing := revisions - found.keys():
            for revision in sorted(missing):
                rates = await self._load(revision)
                if rates is not None:
                    found[revision] = rates
            missing = revisions - found.keys()
            if not missing:
                break
            if asyncio.get_running_loop().time() >= deadline:
                raise RevisionMissing(missing)
            logger.warning("waiting for catalog revisions", extra={"revisions": sorted(missing)[:10]})
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _WAIT_S_MAX)
        return found

    async def _load(self, revision: int) -> Rates | None:
        content = await self._fetch(revision)
        if content is None:
            return None
        try:
            rates = self._compile_rates(content)
        except ValueError as error:
            logger.error("catalog revision unreadable", extra={"revision": revision, "error": str(error)[:500]})
            return None
        self._rates[revision] = rates
        while len(self._rates) > self._revisions_max:
            self._rates.popitem(last=False)
        return rates
