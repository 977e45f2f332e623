"""One channel at work: its secret, its connections, how many requests it may have in flight.

    ready(secret) <-> disabled(reason)      by `update`, whenever the catalog is applied

A worker lives as long as its channel is in the catalog. Answers under way are never touched by an update: connections
whose origin, timeouts, limits or kind changed take no new requests and close when their answers end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lumen.catalog.document import Channel, Dialect, Timeouts
from services.edge.provider_workers.endpoints import RequestHeaders, split_base_url
from services.edge.provider_workers.metrics import ChannelStats
from services.edge.provider_workers.secrets import Secret, SecretUnavailable, resolve_secret
from services.edge.provider_workers.transport import (
    ConnectFailed,
    Headers,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTransport,
)

_LATENCY_STEP = 0.2


class TransportKey(NamedTuple):
    """What decides whether a transport still serves after an update."""

    kind: str  # lean | httpx
    origin: str
    timeouts: Timeouts
    concurrency: int


class Rates(Protocol):
    """Requests and tokens per minute of a channel, shared with the other edges (`services.edge.limits.channels`)."""

    @property
    def has_room(self) -> bool: ...

    def take(self) -> None: ...

    @property
    def fullness(self) -> str: ...


class Wiring(NamedTuple):
    """What the registry lends its workers."""

    user_agent: bytes
    new_transport: Callable[[TransportKey, ChannelStats], UpstreamTransport]
    retire: Callable[[UpstreamTransport], None]  # close when its answers have ended
    slot_freed: Callable[[ProviderWorker], None]
    environ: Mapping[str, str] = os.environ
    rates_of: Callable[[Channel], Rates | None] = lambda channel: None


class Latency:
    """How long a channel lately took to begin its answers: an exponentially weighted mean, in seconds."""

    __slots__ = ("measured_at", "ttft_s")

    def __init__(self) -> None:
        self.ttft_s = 0.0
        self.measured_at = float("-inf")  # monotonic

    def observe(self, ttft_s: float, now: float) -> None:
        self.ttft_s += (ttft_s - self.ttft_s) * _LATENCY_STEP if self.ttft_s else ttft_s
        self.measured_at = now


@dataclass(slots=True)
class _Endpoint:
    key: TransportKey
    path_prefix: bytes
    headers: RequestHeaders
    transport: UpstreamTransport | None = None  # once it has been used


class ProviderWorker:
    def __init__(self, channel: Channel, stats: ChannelStats, wiring: Wiring) -> None:
        self._stats = stats
        self._wiring = wiring
        self._transports: dict[TransportKey, UpstreamTransport] = {}
        self._endpoints: dict[str, _Endpoint] = {}
        self.in_flight = 0
        self.disabled_reason = ""
        self.channel = channel
        # Grows when the channel or its secret becomes another: what was found out before is void.
        self.generation = 0
        self._secret: Secret | None = None
        self.latency = Latency()
        self.update(channel)

    @property
    def is_ready(self) -> bool:
        return not self.disabled_reason

    @property
    def has_slot(self) -> bool:
        return (
            not self.disabled_reason
            and self.in_flight < self._concurrency
            and (self._rates is None or self._rates.has_room)
        )

    @property
    def fullness(self) -> str:
        """Why no request gets in now, for explanations; empty: one does. Asks for nothing."""
        if self.in_flight >= self._concurrency:
            return f"all its {self._concurrency} slots are in use"
        return "" if self._rates is None else self._rates.fullness

    # --- slots

    def try_acquire(self) -> bool:
        """Take a slot; each one is given back by exactly one `release`."""
        rates = self._rates
        if self.disabled_reason or self.in_flight >= self._concurrency or (rates is not None and not rates.has_room):
            return False
        if rates is not None:
            rates.take()
        self.in_flight += 1
        self._stats.in_flight += 1
        return True

    def release(self) -> None:
        assert self.in_flight > 0, "released more often than acquired"
        self.in_flight -= 1
        self._stats.in_flight -= 1
        self._wiring.slot_freed(self)

    # --- requests

    async def send(
        self, dialect: str, path_suffix: bytes, headers: Headers, body: bytes, *, method: bytes = b"POST"
    ) -> UpstreamResponse:
        """Send to the channel's base URL for this dialect + `path_suffix`. `headers` have lower-case names and replace
        our defaults (content-type, accept, user-agent, anthropic-version), never authentication.

        Until the head of the answer. Raises UpstreamFailure, KeyError for a dialect that the channel does not speak.
        """
        if self.disabled_reason:
            raise ConnectFailed(self.disabled_reason)
        endpoint = self._endpoints[dialect]
        transport = endpoint.transport or self._connect(endpoint)
        path_prefix = endpoint.path_prefix
        static, own = endpoint.headers.merge(headers)
        return await transport.send(UpstreamRequest(method, path_prefix + path_suffix, own, body, static))

    def _connect(self, endpoint: _Endpoint) -> UpstreamTransport:
        """Endpoints of one origin share a transport, and keep it over updates that do not concern it."""
        transport = self._transports.get(endpoint.key)
        if transport is None:
            transport = self._transports[endpoint.key] = self._wiring.new_transport(endpoint.key, self._stats)
        endpoint.transport = transport
        return transport

    # --- the catalog

    def update(self, channel: Channel) -> None:
        """Adopt the channel's present form and read its secret again. Never raises for a bad secret."""
        previous = (self.channel, self._secret)
        self.channel = channel
        self._secret = None
        self._concurrency = channel.limits.concurrency
        self._rates = self._wiring.rates_of(channel)
        try:
            self._secret = secret = resolve_secret(channel.secret, self._wiring.environ)
        except SecretUnavailable as unavailable:
            self.disabled_reason = str(unavailable)
            self._endpoints = {}
        else:
            self.disabled_reason = ""
            self._endpoints = {
                dialect: self._endpoint(dialect, base_url, secret) for dialect, base_url in channel.dialects.items()
            }
        if previous != (channel, self._secret):
            self.generation += 1
        self._stats.concurrency_max = self._concurrency
        self._stats.is_ready = int(self.is_ready)
        self._retire_unused()

    def close(self) -> None:
        """The channel is gone: no new requests; answers under way go on to their end."""
        self.disabled_reason = "the channel is not in the catalog any more"
        self._stats.is_ready = self._stats.concurrency_max = 0
        self._endpoints = {}
        self._retire_unused()

    def _endpoint(self, dialect: Dialect, base_url: str, secret: Secret) -> _Endpoint:
        origin, path_prefix = split_base_url(base_url)
        key = TransportKey(self.channel.transport, origin, self.channel.timeouts, self._concurrency)
        return _Endpoint(key, path_prefix, RequestHeaders(dialect, secret, self._wiring.user_agent))

    def _retire_unused(self) -> None:
        used = {endpoint.key for endpoint in self._endpoints.values()}
        for key in self._transports.keys() - used:
            self._wiring.retire(self._transports.pop(key))
