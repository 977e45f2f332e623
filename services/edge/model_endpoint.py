"""The three model endpoints, past ASGI: admit, hold, find a provider, relay; or tell the client why not.

FastAPI's routing and response classes cost more than the whole relay, so these requests never meet them.
"""

from __future__ import annotations

import time

from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.peek import Peek
from services.edge.admission import Admission
from services.edge.attempts import Attempts
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection, ClientGone
from services.edge.exchanges import AttemptFailed, Exchange
from services.edge.holds import plan_hold
from services.edge.keepalive import Keepalives
from services.edge.key_cache import ApiKey
from services.edge.limits.limiter import Limiter, Ticket
from services.edge.metering.lease_book import Hold
from services.edge.metering.lease_errors import InsufficientCredits, KeySpendLimitReached, LeaseError
from services.edge.metering.recorder import Metering
from services.edge.metrics import EdgeMetrics
from services.edge.recording import Recording
from services.edge.relay_single import SingleExchange
from services.edge.relay_stream import StreamExchange
from services.edge.request_guard import RequestGuard
from services.edge.request_head import RequestHead
from services.edge.routing.fallbacks import SERVED_MODEL_HEADER, Fallbacks, Leg, dearest
from services.edge.routing.metrics import RoutingMetrics
from services.edge.routing.selection import Selection
from services.edge.settings import EdgeSettings

_CLIENT_GONE = 499


class ModelEndpoint:
    def __init__(
        self,
        guard: RequestGuard,
        admission: Admission,
        limiter: Limiter,
        attempts: Attempts,
        fallbacks: Fallbacks,
        metering: Metering,
        recording: Recording,
        keepalives: Keepalives,
        metrics: EdgeMetrics,
        routing_metrics: RoutingMetrics,
        settings: EdgeSettings,
    ) -> None:
        self._guard = guard
        self._admission = admission
        self._limiter = limiter
        self._attempts = attempts
        self._fallbacks = fallbacks
        self._metering = metering
        self._recording = recording
        self._keepalives = keepalives
        self._metrics = metrics
        self._routing_metrics = routing_metrics
        self._settings = settings

    async def serve(self, client: ClientConnection, head: RequestHead) -> None:
        started = time.monotonic()
        await self._guard.serve(client, client.dialect, started, self._serve(client, head, started))

    async def _serve(self, client: ClientConnection, head: RequestHead, started: float) -> None:
        admission = self._admission
        key = await admission.authenticate(head.fields, head.client_ip)
        group = admission.group_of(key)
        body = await client.read_body(head.fields, self._settings.body_bytes_max, self._settings.body_read_s_max)
        peek = admission.read_request(client.dialect, body, group, head)
        resolution = await admission.resolve(key, peek.model)
        legs: list[Leg] = []
        if resolution.model.fallbacks:
            legs = await self._fallbacks.legs(
                key, peek, len(body), resolution, lambda leg: self._attempts.select(leg, key.account_id, peek, body)
            )
            plan = legs[0].plan
            amount_nanousd, least_nanousd = dearest(legs)
        else:
            selection = self._attempts.select(resolution, key.account_id, peek, body)
            plan = plan_hold(peek, len(body), resolution)
            amount_nanousd, least_nanousd = plan.amount_nanousd, plan.least_nanousd
        gate = self._limiter.gate(key, group)
        ticket: Ticket | None = None
        if gate is not None:
            ticket = await self._limiter.admit_client(client, gate, plan.prompt_tokens_typical)
        hold: Hold | None = None
        call: Call | None = None
        try:
            hold = await self._hold(key, amount_nanousd, least_nanousd)
            if gate is not None and ticket is not None:
                await self._limiter.hold_spend(gate, ticket, hold.amount_nanousd)
            call = Call(
                request_id=client.request_id,
                dialect=client.dialect,
                headers=head.headers,
                query=head.query,
                body=body,
                peek=peek,
                key=key,
                resolution=resolution,
                is_stream=is_stream_wanted(peek, head.fields),
                hold=hold,
                output_cap=plan.cap_within(hold.amount_nanousd),
                prompt_tokens_typical=plan.prompt_tokens_typical,
                started_at=started,
                started_at_us=time.time_ns() // 1000,
                upstream_dialect=client.dialect,
                modifiers=peek.modifiers,
                ticket=ticket,
            )
            if legs:
                await self._answer_from_chain(client, call, legs)
            else:
                await self._answer(client, call, selection)
        finally:
            if hold is not None and hold.is_open:
                self._metering.cancel(hold)
            if ticket is not None:
                ticket.close()
            if call is not None and call.ttft_us:
                self._metrics.requests.first_byte(call.dialect, call.ttft_us / 1_000_000)

    async def _hold(self, key: ApiKey, amount_nanousd: int, least_nanousd: int) -> Hold:
        """Raises ApiError 402, 503."""
        problem = self._metering.problem()
        if problem is not None:
            raise ApiError(ErrorKind.OVERLOADED, "Usage cannot be recorded at the moment.", retry_after_s=5)
        try:
            return await self._metering.hold(key, amount_nanousd, least_nanousd)
        except LeaseError as error:
            raise _refusal(error) from error

    async def _answer(self, client: ClientConnection, call: Call, selection: Selection) -> None:
        try:
            await self._attempts.run(self._exchange(client, call), selection, call.resolution.model.code)
        except (ApiError, ClientGone) as error:
            self._record_refused(call, error)
            raise

    async def _answer_from_chain(self, client: ClientConnection, call: Call, legs: list[Leg]) -> None:
        """The first model whose targets answer. When none does the client is told of the one it asked for."""
        asked = call.resolution
        failures: dict[str, AttemptFailed] = {}
        failure: AttemptFailed | None = None
        try:
            for leg in legs:
                model = leg.resolution.model.code
                call.resolution, call.output_cap = leg.resolution, leg.plan.cap_within(call.hold.amount_nanousd)
                call.prompt_tokens_typical = leg.plan.prompt_tokens_typical
                call.served_headers = [] if leg.resolution is asked else [(SERVED_MODEL_HEADER, model.encode())]
                assert leg.selection is not None
                failure = await self._attempts.try_all(self._exchange(client, call), leg.selection, model)
                if failure is None:
                    if leg.resolution is not asked:
                        self._routing_metrics.fallbacks.labels(asked.model.code, model).inc()
                    return
                failures[model] = failure
                if not failure.may_retry or client.has_started:
                    break
            call.resolution = asked
            client.extra_headers = []
            assert failure is not None, "a chain has at least one model"
            raise failures.get(asked.model.code, failure).error
        except (ApiError, ClientGone) as error:
            self._record_refused(call, error)
            raise

    def _exchange(self, client: ClientConnection, call: Call) -> Exchange:
        if call.is_stream:
            return StreamExchange(client, call, self._recording, self._keepalives, self._settings)
        return SingleExchange(client, call, self._recording, self._settings)

    def _record_refused(self, call: Call, error: ApiError | ClientGone) -> None:
        if call.attempts and call.hold.is_open:
            self._recording.record_refused(call, error.status if isinstance(error, ApiError) else _CLIENT_GONE)


def is_stream_wanted(peek: Peek, fields: dict[bytes, bytes]) -> bool:
    """`stream` absent means a stream, but for clients that accept JSON only, as the SDKs do for single answers."""
    if peek.stream is not None:
        return peek.stream
    accept = fields.get(b"accept", b"*/*")
    return b"text/event-stream" in accept or b"*/*" in accept or b"application/json" not in accept


def _refusal(error: LeaseError) -> ApiError:
    if isinstance(error, InsufficientCredits):
        return ApiError(ErrorKind.CREDITS_EXHAUSTED, "Your credits are exhausted. Please top up your account.")
    if isinstance(error, KeySpendLimitReached):
        return ApiError(ErrorKind.CREDITS_EXHAUSTED, "The spend limit of this API key is reached.")
    return ApiError(ErrorKind.OVERLOADED, "Credits cannot be checked at the moment. Please retry.", retry_after_s=2)
