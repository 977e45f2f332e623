"""What one request may take of the limits of its key, account and group.

A key without any limit has no gate, and costs two attribute lookups. A limited one takes from what is in hand; only
when that is used up does it wait for auth. Requests and the prompt's estimated tokens are taken at admission, tokens
corrected by the usage reported; a slot is held until the end, and of money the request's hold until its cost is known.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from lumen.catalog.document import Group
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from protos import auth_pb2
from services.edge.client_connection import ClientConnection
from services.edge.http_protocol import Headers
from services.edge.key_cache import ApiKey, KeyLimits
from services.edge.limits.client import LimitClient
from services.edge.limits.headers import Figures, limit_headers
from services.edge.limits.metrics import LimitMetrics
from services.edge.limits.share import Refusal, Share

_REQUESTS, _TOKENS = auth_pb2.LIMIT_REQUESTS, auth_pb2.LIMIT_TOKENS
_CONCURRENCY = auth_pb2.LIMIT_CONCURRENCY
_DAY, _MONTH = auth_pb2.LIMIT_SPEND_DAY, auth_pb2.LIMIT_SPEND_MONTH
_WHAT = {
    _REQUESTS: "requests per minute",
    _TOKENS: "tokens per minute",
    _CONCURRENCY: "requests at once",
    _DAY: "day",
    _MONTH: "month",
}
_WHOSE = {"key": "this API key", "account": "your account", "group": "your API key's group"}


@dataclass(frozen=True, slots=True)
class SpendLimit:
    scope: str
    kind: auth_pb2.LimitKind
    limit_nanousd: int


class Gate:
    """The limits of one key as it is now, its account's and its group's."""

    __slots__ = ("group", "key", "requests", "slots", "spend", "spend_shares", "spend_window", "tokens")

    def __init__(self, key: ApiKey, group: Group) -> None:
        self.key = key
        self.group = group
        self.requests: list[Share] = []
        self.tokens: list[Share] = []
        self.slots: list[Share] = []
        self.spend: list[SpendLimit] = []
        self.spend_window = ""
        self.spend_shares: list[Share] = []

    def figures(self, now: float) -> tuple[Figures | None, Figures | None]:
        """Of requests and of tokens: the limit that has least left."""
        return _tightest(self.requests, now), _tightest(self.tokens, now)


class Ticket:
    """What one admitted request has taken. `close` when it has ended, however it ended."""

    __slots__ = ("_client", "_gate", "_is_settled", "_spend_nanousd", "_spend_shares", "_tokens")

    def __init__(self, client: LimitClient, gate: Gate, tokens: int) -> None:
        self._client = client
        self._gate = gate
        self._tokens = tokens
        self._spend_nanousd = 0
        self._spend_shares: list[Share] = []
        self._is_settled = False

    def note_spend(self, shares: list[Share], nanousd: int) -> None:
        self._spend_shares, self._spend_nanousd = shares, nanousd

    def settle(self, tokens: int, cost_nanousd: int) -> None:
        """The usage is known; the first word counts."""
        if self._is_settled:
            return
        self._is_settled = True
        for share in self._gate.tokens:
            share.correct(tokens - min(self._tokens, share.limit))
            self._client.touched(share)
        for share in self._spend_shares:
            share.settle(self._spend_nanousd, cost_nanousd)
            self._client.touched(share)

    def close(self) -> None:
        self.settle(0, 0)
        for share in self._gate.slots:
            share.settle(1, 0)
            if share.is_scarce:
                self._client.ask(share)  # somebody waits for it, perhaps elsewhere
            else:
                self._client.touched(share)


class Limiter:
    def __init__(
        self,
        client: LimitClient,
        metrics: LimitMetrics,
        *,
        gates_max: int,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._gates: OrderedDict[str, Gate] = OrderedDict()
        self._gates_max = gates_max
        self._unix_s = unix_s

    def gate(self, key: ApiKey, group: Group) -> Gate | None:
        """None: nothing limits this key."""
        if key.limits is None and key.account_limits is None and group.limits is None:
            return None
        gate = self._gates.get(key.key_id)
        if gate is None or gate.key is not key or gate.group is not group:
            gate = self._gates[key.key_id] = self._new_gate(key, group)
            if len(self._gates) > self._gates_max:
                self._gates.popitem(last=False)
        self._gates.move_to_end(key.key_id)
        return gate

    async def admit_client(self, client: ClientConnection, gate: Gate, tokens: int, *, has_slot: bool = True) -> Ticket:
        """As `admit`; the official headers of limits go with a refusal as with an answer."""
        try:
            return await self.admit(gate, tokens, has_slot=has_slot)
        finally:
            client.limit_headers = self.headers(gate, client.dialect)

    async def admit(self, gate: Gate, tokens: int, *, has_slot: bool = True) -> Ticket:
        """`tokens`: the prompt's estimate. Raises ApiError 429, or 503 when nobody knows what is left."""
        wanted = [(share, 1) for share in gate.requests]
        if tokens:
            wanted += [(share, min(tokens, share.limit)) for share in gate.tokens]
        if has_slot:
            wanted += [(share, 1) for share in gate.slots]
        await self._take_all(wanted)
        return Ticket(self._client, gate, tokens)

    async def hold_spend(self, gate: Gate, ticket: Ticket, nanousd: int) -> None:
        """Raises ApiError 402 when the day's or the month's money does not cover the hold."""
        if not gate.spend:
            return
        shares = self._spend_shares(gate)
        await self._take_all([(share, nanousd) for share in shares])
        ticket.note_spend(shares, nanousd)

    def headers(self, gate: Gate, dialect: Dialect) -> Headers:
        requests, tokens = gate.figures(self._client.now())
        return limit_headers(dialect, requests, tokens, self._unix_s())

    async def _take_all(self, wanted: list[tuple[Share, int]]) -> None:
        """All or nothing."""
        taken = 0
        try:
            for share, need in wanted:
                if not share.try_take(need):
                    refusal = await self._client.take(share, need)
                    if refusal is not None:
                        raise self._refused(refusal)
                self._client.touched(share)
                taken += 1
        except BaseException:
            for share, need in wanted[:taken]:
                share.take_back(need)
                self._client.touched(share)
            raise

    def _refused(self, refusal: Refusal) -> ApiError:
        share = refusal.share
        kind, _, _ = share.scope.partition(":")
        self._metrics.refusals.labels(kind, auth_pb2.LimitKind.Name(share.kind).lower()).inc()
        whose, what = _WHOSE[kind], _WHAT[share.kind]
        if share.window:
            if refusal.is_unknown:
                return ApiError(ErrorKind.OVERLOADED, "Spend limits cannot be checked at the moment.", retry_after_s=2)
            return ApiError(
                ErrorKind.CREDITS_EXHAUSTED, f"The spend limit per {what} of {whose} is reached or too low for this."
            )
        return ApiError(
            ErrorKind.RATE_LIMIT,
            f"Rate limit of {whose} reached: {share.limit} {what}.",
            retry_after_s=max(1, math.ceil(refusal.wait_s)),
        )

    def _new_gate(self, key: ApiKey, group: Group) -> Gate:
        gate = Gate(key, group)
        self._add(gate, f"key:{key.key_id}", key.limits)
        self._add(gate, f"account:{key.account_id}", key.account_limits)
        if group.limits is not None:
            of_group = group.limits
            limits = KeyLimits(of_group.rpm or 0, of_group.tpm or 0, of_group.concurrency or 0, 0, 0)
            self._add(gate, f"group:{group.name}", limits)
        return gate

    def _add(self, gate: Gate, scope: str, limits: KeyLimits | None) -> None:
        if limits is None:
            return
        share = self._client.share
        if limits.requests_per_minute:
            gate.requests.append(share(scope, _REQUESTS, "", limits.requests_per_minute))
        if limits.tokens_per_minute:
            gate.tokens.append(share(scope, _TOKENS, "", limits.tokens_per_minute))
        if limits.concurrency:
            gate.slots.append(share(scope, _CONCURRENCY, "", limits.concurrency))
        if limits.spend_day_nanousd:
            gate.spend.append(SpendLimit(scope, _DAY, limits.spend_day_nanousd))
        if limits.spend_month_nanousd:
            gate.spend.append(SpendLimit(scope, _MONTH, limits.spend_month_nanousd))

    def _spend_shares(self, gate: Gate) -> list[Share]:
        """Of the calendar day and month (UTC) that it is now; a request counts where it was admitted."""
        day = time.strftime("%Y%m%d", time.gmtime(self._unix_s()))
        if gate.spend_window != day:
            gate.spend_window = day
            gate.spend_shares = [
                self._client.share(each.scope, each.kind, day if each.kind == _DAY else day[:6], each.limit_nanousd)
                for each in gate.spend
            ]
        return gate.spend_shares


def _tightest(shares: list[Share], now: float) -> Figures | None:
    found: Figures | None = None
    for share in shares:
        figures = Figures(share.limit, share.remaining(now))
        if found is None or figures.remaining < found.remaining:
            found = figures
    return found
