"""A streamed answer: frames go on as they arrive; from the finish frame on they wait until the usage is recorded.

How an answer can end
* complete       entry recorded, then the held frames, then the end of the body.
* failed         the provider sent an error. Before anything reached the client: AttemptFailed, another target may try.
                 After: the client gets an error frame; not charged.
* cut            the provider's stream ended without its end. Likewise, but text that was delivered is charged, marked.
* client gone    `drain`: read on for the usage, within limits. `cancel`: stop; delivered text is charged, marked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from lumen.catalog.resolve import Target
from lumen.money.usage import TokenUsage
from lumen.protocols.errors import ApiError, ErrorKind, encode_stream_error
from lumen.protocols.stream_tap import StreamTap, UpstreamProtocolError
from services.edge.attempts import AttemptFailed, transport_failure
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.keepalive import Keepalives
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.recording import Recording
from services.edge.relay_single import until_recorded
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_to_end

logger = logging.getLogger(__name__)


class StreamRelay:
    def __init__(
        self, recording: Recording, keepalives: Keepalives, metrics: EdgeMetrics, settings: EdgeSettings
    ) -> None:
        self._recording = recording
        self._keepalives = keepalives
        self._metrics = metrics
        self._settings = settings
        self._draining = 0

    async def relay(self, client: ClientConnection, call: Call, target: Target, response: UpstreamResponse) -> None:
        """Raises AttemptFailed while nothing has been sent to the client."""
        tap = StreamTap(
            call.dialect,
            suppress_usage_chunk=call.peek.include_usage is False,
            frame_bytes_max=self._settings.frame_bytes_max,
            held_bytes_max=self._settings.held_bytes_max,
            choices=call.peek.choices,
        )
        departure = _Departure(self, response, is_cancelling=target.channel.on_disconnect == "cancel")
        client.on_gone(departure.begin)
        if client.is_gone:
            departure.begin()
        self._keepalives.add(client, call.dialect)
        failure: Exception | None = None
        try:
            await self._read(client, call, response, tap)
        except (UpstreamFailure, UpstreamProtocolError) as error:
            response.abort()
            failure = error
        finally:
            self._keepalives.discard(client)
            client.on_gone(None)
            departure.end()
        if tap.is_complete:
            await self._complete(client, call, target, response, tap)
        elif client.is_gone:
            self._record_partial(call, target, tap, "client_gone")
        else:
            await self._fail(client, call, target, response, tap, failure)

    async def _read(self, client: ClientConnection, call: Call, response: UpstreamResponse, tap: StreamTap) -> None:
        """Until the provider's stream has said all that counts."""
        while data := await response.read():
            frames = tap.feed(data)
            if frames:
                if not call.ttft_us:
                    call.ttft_us = call.elapsed_us()
                    await client.start_stream()
                await client.send(frames)
            if tap.is_ended:
                return
        tap.close()

    async def _complete(
        self, client: ClientConnection, call: Call, target: Target, response: UpstreamResponse, tap: StreamTap
    ) -> None:
        usage = tap.usage
        is_estimated = usage is None or usage.output is None
        if usage is None or is_estimated:
            usage = self._recording.estimate(call, usage, tap.output_bytes)
            tap.supply_usage(usage)
        recorded = self._recording.record(
            call,
            target,
            usage,
            status=200,
            finish_reason=tap.finish_reason or "",
            is_estimated=is_estimated,
            anomalies=tap.anomalies,
        )
        try:
            await until_recorded(recorded, self._settings.record_s_max)
        except ApiError as error:
            await self._send_error(client, call, error, tap)
            return
        await client.start_stream()
        await client.finish(tap.held)
        await read_to_end(response)

    async def _fail(
        self,
        client: ClientConnection,
        call: Call,
        target: Target,
        response: UpstreamResponse,
        tap: StreamTap,
        failure: Exception | None,
    ) -> None:
        """The provider's error, or a stream that ended too early."""
        response.abort()
        if not client.has_started:
            raise _nothing_sent(tap, failure)
        if tap.error is not None:
            usage = tap.usage or TokenUsage()
            self._recording.record(
                call, target, usage, status=200, reason="error_event", is_billable=False, anomalies=tap.anomalies
            )
            error = tap.error.api_error()
        else:
            reason = failure.reason if isinstance(failure, UpstreamFailure) else "cut"
            self._record_partial(call, target, tap, reason)
            error = ApiError(ErrorKind.UPSTREAM_FAILED, "The provider's stream ended before the answer was complete.")
        await self._send_error(client, call, error, tap)

    async def _send_error(self, client: ClientConnection, call: Call, error: ApiError, tap: StreamTap) -> None:
        await client.start_stream()
        frame = encode_stream_error(call.dialect, error, call.request_id, next_sequence=tap.next_sequence)
        await client.finish(frame)

    def _record_partial(self, call: Call, target: Target, tap: StreamTap, reason: str) -> asyncio.Future[None]:
        """Part of an answer was delivered and no more can be: reported where reported, the output estimated."""
        usage = self._recording.estimate(call, tap.usage, tap.output_bytes)
        return self._recording.record(
            call,
            target,
            usage,
            status=499 if reason == "client_gone" else 200,
            finish_reason=tap.finish_reason or "",
            reason=reason,
            is_estimated=True,
            is_billable=tap.relayed_bytes > 0,
            anomalies=tap.anomalies,
        )

    def may_drain(self) -> bool:
        return self._draining < self._settings.drain_disconnected_max

    @property
    def drain_s_max(self) -> float:
        return self._settings.drain_disconnected_s_max

    def count_departure(self, policy: str) -> None:
        self._metrics.disconnects.labels(policy).inc()

    def count_draining(self, change: int) -> None:
        self._draining += change
        self._metrics.draining.set(self._draining)


class _Departure:
    """What a client's going does to its stream. `begin` may be called at most once, by the connection."""

    def __init__(self, relay: StreamRelay, response: UpstreamResponse, *, is_cancelling: bool) -> None:
        self._relay = relay
        self._response = response
        self._is_cancelling = is_cancelling
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._is_cancelling or not self._relay.may_drain():
            self._relay.count_departure("cancel")
            self._response.abort()
            return
        self._relay.count_departure("drain")
        self._relay.count_draining(1)
        abort: Callable[[], None] = self._response.abort
        self._timer = asyncio.get_running_loop().call_later(self._relay.drain_s_max, abort)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._relay.count_draining(-1)


def _nothing_sent(tap: StreamTap, failure: Exception | None) -> AttemptFailed:
    if tap.error is not None:
        return AttemptFailed(
            "error_event", tap.error.api_error(), status=200, is_account_fault=tap.error.is_account_fault
        )
    if isinstance(failure, UpstreamFailure):
        return transport_failure(failure)
    return AttemptFailed("protocol", ApiError(ErrorKind.UPSTREAM_FAILED, "The provider's stream is broken."))
