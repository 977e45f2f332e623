"""The three model endpoints as raw ASGI: admit, hold, find a provider, relay; or tell the client why not.

FastAPI's routing and response classes cost more than the whole relay, so these requests never meet them.
"""

from __future__ import annotations

import logging
import secrets
import time

from lumen.catalog.resolve import Target
from lumen.platform.logging import request_id_var
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind, encode_error
from lumen.protocols.peek import Peek
from services.edge.admission import Admission
from services.edge.attempts import Attempts
from services.edge.calls import Call
from services.edge.client_address import ClientAddresses
from services.edge.client_connection import ClientConnection, ClientGone, Receive, Scope
from services.edge.holds import plan_hold
from services.edge.http_protocol import Headers
from services.edge.metering.lease_errors import InsufficientCredits, KeySpendLimitReached, LeaseError
from services.edge.metering.recorder import Metering
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.transport import UpstreamResponse
from services.edge.recording import Recording
from services.edge.relay_single import SingleRelay
from services.edge.relay_stream import StreamRelay
from services.edge.settings import EdgeSettings

logger = logging.getLogger(__name__)

_FINAL_STATUSES = frozenset({401, 402, 403, 404})


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


class RequestHead:
    """What admission reads of a request, by name."""

    __slots__ = ("client_ip", "fields", "headers", "path", "query")

    def __init__(self, scope: Scope, addresses: ClientAddresses) -> None:
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: Headers = scope["headers"]
        self.fields: dict[bytes, bytes] = dict(self.headers)
        self.client_ip = addresses.of(scope, self.fields)


class ModelEndpoint:
    def __init__(
        self,
        admission: Admission,
        attempts: Attempts,
        metering: Metering,
        recording: Recording,
        single: SingleRelay,
        stream: StreamRelay,
        addresses: ClientAddresses,
        metrics: EdgeMetrics,
        settings: EdgeSettings,
    ) -> None:
        self._admission = admission
        self._attempts = attempts
        self._metering = metering
        self._recording = recording
        self._single = single
        self._stream = stream
        self._addresses = addresses
        self._metrics = metrics
        self._settings = settings
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        return self._in_flight

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive) -> None:
        started = time.monotonic()
        request_id = new_request_id()
        request_id_var.set(request_id)
        client = ClientConnection(scope, receive, request_id, dialect)
        self._in_flight += 1
        try:
            await self._serve(client, RequestHead(scope, self._addresses), started)
        except ApiError as error:
            self._metrics.rejections.labels(error.kind.value).inc()
            await respond_error(client, error)
        except ClientGone:
            client.status = 499
        except Exception:
            logger.exception("request failed")
            await respond_error(client, ApiError(ErrorKind.INTERNAL, "Something went wrong on our side."))
        finally:
            self._in_flight -= 1
            self._metrics.requests.answered(dialect.value, client.status, time.monotonic() - started)

    async def _serve(self, client: ClientConnection, head: RequestHead, started: float) -> None:
        if self._in_flight > self._settings.requests_in_flight_max:
            raise ApiError(ErrorKind.OVERLOADED, "Too many requests are being served. Please retry.", retry_after_s=1)
        admission = self._admission
        key = await admission.authenticate(head.fields, head.client_ip)
        group = admission.group_of(key)
        body = await client.read_body(self._settings.body_bytes_max, self._settings.body_read_s_max)
        peek = admission.read_request(client.dialect, body, group, head)
        resolution = await admission.resolve(key, peek.model)
        plan = plan_hold(peek, len(body), resolution)
        admission.check_rates(key)
        problem = self._metering.problem()
        if problem is not None:
            raise ApiError(ErrorKind.OVERLOADED, "Usage cannot be recorded at the moment.", retry_after_s=5)
        try:
            hold = await self._metering.hold(key, plan.amount_nanousd, plan.least_nanousd)
        except LeaseError as error:
            raise _refusal(error) from error
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
        )
        try:
            await self._answer(client, call)
        finally:
            if hold.is_open:
                self._metering.cancel(hold)
            if call.ttft_us:
                self._metrics.requests.first_byte(call.dialect.value, call.ttft_us / 1_000_000)

    async def _answer(self, client: ClientConnection, call: Call) -> None:
        relay = self._stream.relay if call.is_stream else self._single.relay

        async def relay_answer(call: Call, target: Target, response: UpstreamResponse) -> None:
            await relay(client, call, target, response)

        try:
            await self._attempts.run(call, relay_answer)
        except ApiError as error:
            if call.attempts and call.hold.is_open:
                self._recording.record_refused(call, error.status)
            raise


async def respond_error(client: ClientConnection, error: ApiError) -> None:
    """Before the answer has begun; after that only the end of the connection tells."""
    if client.has_started:
        client.abort()
        return
    body = encode_error(client.dialect, error, client.request_id)
    await client.respond(error.status, error_headers(error), body)


def error_headers(error: ApiError) -> Headers:
    headers: Headers = [(b"content-type", b"application/json")]
    if error.status in _FINAL_STATUSES:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if error.kind is ErrorKind.TOO_LARGE or error.status == 408:
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    return headers


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
