"""Requests and tokens per minute of channels, all edges together: what a provider allows our account there.

Looked at without waiting: a channel of which nothing is in hand counts as full, so that requests go on to the next;
where all are full they wait, a bounded time, for whichever gets something first. So some is always kept in hand.
Tokens are counted when they are known: the request that crosses the limit finishes, and delays those after it.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary, WeakValueDictionary

from lumen.catalog.document import Channel
from protos import auth_pb2
from services.edge.limits.client import LimitClient
from services.edge.limits.share import Share

_RESERVE_PART = 8


class ChannelRates:
    """Of one channel."""

    __slots__ = ("__weakref__", "_client", "_requests", "_tokens")

    def __init__(self, client: LimitClient, requests: Share | None, tokens: Share | None) -> None:
        self._client = client
        self._requests = requests
        self._tokens = tokens
        for share in (requests, tokens):
            if share is not None:
                share.reserve_part = _RESERVE_PART
                client.wish(share, 1)

    @property
    def shares(self) -> list[Share]:
        return [share for share in (self._requests, self._tokens) if share is not None]

    @property
    def has_room(self) -> bool:
        may_take = self._client.may_take
        return (self._requests is None or may_take(self._requests)) and (self._tokens is None or may_take(self._tokens))

    @property
    def fullness(self) -> str:
        """For explanations: looks, and asks for nothing."""
        for share, what in ((self._requests, "requests"), (self._tokens, "tokens")):
            if share is not None and share.left <= 0:
                return (
                    f"its limit of {share.limit} {what} per minute is reached, or this edge has no part of it in hand"
                )
        return ""

    def take(self) -> None:
        """One request, right after `has_room`."""
        for share in (self._requests, self._tokens):
            if share is not None:
                self._client.take_now(share)

    def used(self, tokens: int) -> None:
        """What a request that was taken for has used."""
        if self._tokens is not None:
            self._tokens.correct(tokens - 1)
            self._client.touched(self._tokens)


class ChannelLimits:
    """The rates of all channels. `on_room(channel)`: it may have room again."""

    def __init__(self, client: LimitClient) -> None:
        self._client = client
        # Kept alive by their workers, as long as the channel is in the catalog in this form.
        self._channels: WeakKeyDictionary[Share, str] = WeakKeyDictionary()
        self._rates: WeakValueDictionary[str, ChannelRates] = WeakValueDictionary()
        self.on_room: Callable[[str], None] = lambda channel: None
        client.on_granted = self._granted

    def rates_of(self, channel: Channel) -> ChannelRates | None:
        """None: it has no rates. Called for each form of a channel that is adopted."""
        limits, scope = channel.limits, f"channel:{channel.name}"
        if limits.rpm is None and limits.tpm is None:
            return None
        requests = tokens = None
        if limits.rpm is not None:
            requests = self._client.share(scope, auth_pb2.LIMIT_REQUESTS, "", limits.rpm)
        if limits.tpm is not None:
            tokens = self._client.share(scope, auth_pb2.LIMIT_TOKENS, "", limits.tpm)
        rates = self._rates[channel.name] = ChannelRates(self._client, requests, tokens)
        for share in rates.shares:
            self._channels[share] = channel.name
        return rates

    def used(self, name: str, tokens: int) -> None:
        rates = self._rates.get(name)
        if rates is not None:
            rates.used(tokens)

    def _granted(self, share: Share) -> None:
        name = self._channels.get(share)
        if name is not None:
            self.on_room(name)
