"""How often an address may offer keys that nobody knows: guessing costs auth an RPC each, so it is bounded here.

A minute's failures may come at once and drain evenly. Whoever is past them is refused before auth is asked; keys in the
cache are not touched by it. Addresses are those of `client_address`: behind a gateway that is not in
LUMEN_EDGE_TRUSTED_PROXIES all clients share one.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.edge.client_address import parse_address

_ADDRESSES_MAX = 10_000
_IPV6_PREFIX_BITS = 64  # what one subscriber is given: a machine has 2^64 addresses of it to itself
_MINUTE_S = 60.0

_Network = ipaddress.IPv4Address | int


class BadKeys:
    """`per_minute` 0: no limit. The table is bounded; the address that failed longest ago is forgotten first."""

    def __init__(
        self,
        per_minute: int,
        registry: CollectorRegistry,
        *,
        addresses_max: int = _ADDRESSES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval_s = _MINUTE_S / per_minute if per_minute else 0.0
        self._addresses_max = addresses_max
        self._now = now
        self._drained_at: OrderedDict[_Network, float] = OrderedDict()  # when each address owes nothing any more
        counts = Counter(
            "lumen_edge_bad_keys_total", "Keys nobody knows, by what was done.", ["outcome"], registry=registry
        )
        self._unknown, self._refused = counts.labels("unknown"), counts.labels("refused")
        Gauge(
            "lumen_edge_bad_key_addresses", "Addresses remembered for offering unknown keys.", registry=registry
        ).set_function(lambda: len(self._drained_at))

    def refusal_s(self, client_ip: str) -> int:
        """0: auth may be asked. Else whole seconds until this address may offer another unknown key."""
        if not self._drained_at:
            return 0
        network = _network(client_ip)
        drained_at = self._drained_at.get(network, 0.0) if network is not None else 0.0
        wait_s = drained_at + self._interval_s - _MINUTE_S - self._now()
        if wait_s <= 1e-6:  # rounding of the sums
            return 0
        self._refused.inc()
        return math.ceil(wait_s)

    def failed(self, client_ip: str) -> None:
        """This address has offered a key that auth does not know."""
        self._unknown.inc()
        network = _network(client_ip)
        if not self._interval_s or network is None:
            return
        now = self._now()
        self._drained_at[network] = max(self._drained_at.get(network, now), now) + self._interval_s
        self._drained_at.move_to_end(network)
        while len(self._drained_at) > self._addresses_max or next(iter(self._drained_at.values())) <= now:
            self._drained_at.popitem(last=False)


def _network(client_ip: str) -> _Network | None:
    """None: no address (a Unix socket), which is not limited."""
    address = parse_address(client_ip)
    if isinstance(address, ipaddress.IPv6Address):
        return int(address) >> (128 - _IPV6_PREFIX_BITS)
    return address
