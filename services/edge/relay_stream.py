"""A streamed answer: frames go on as they arrive; from the finish frame on they wait until the usage is recorded.

How an answer can end
* complete       entry recorded, then the held frames, then the end of the body.
* failed         the provider sent an error. Before anything reached the client: AttemptFailed, another target may try.
                 After: the client gets an error frame; not charged.
* cut            the provider's stream ended without its end. Likewise, but text that was delivered is charged, marked.
* client gone    `drain`: read on for the usage, within limits. `cancel`: stop; delivered text is charged, marked.
"""

from __future__ import annotations

from collections.abc import Callable

from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.money.usage import TokenUsage
from lumen.protocols.errors import ApiError, ErrorKind, encode_stream_error
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.exchanges import AttemptFailed, UpstreamMessage
from services.edge.failures import error_inside, unusable
from services.edge.keepalive import Keepalives
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.recording import Recording
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_to_end
from services.edge.wires import Tap, wire_for


class StreamExchange:
    """See `services.edge.exchanges.Exchange`."""

    __slots__ = ("_call", "_keepalives", "_recording", "_settings", "_tap", "attempts", "client", "on_first_byte")

    def __init__(
        self,
        client: ClientConnection,
        call: Call,
        recording: Recording,
        keepalives: Keepalives,
        settings: EdgeSettings,
    ) -> None:
        self.client = client
        self.attempts: list[Attempt] = call.attempts
        self.on_first_byte: Callable[[], None] | None = None
        self._call = call
        self._recording = recording
        self._keepalives = keepalives
        self._settings = settings

    def request(self, target: Target) -> UpstreamMessage:
        wire = wire_for(self._call, target)
        message = wire.request()
        self._recording.note_losses(self.client, self._call, wire.dropped)
        self._tap: Tap = wire.tap(self._settings)
        return message

    async def receive(self, response: UpstreamResponse) -> None:
        """Until the provider's stream has said all that counts."""
        client, tap, call = self.client, self._tap, self._call
        self._keepalives.add(client)
        try:
            while data := await response.read():
                frames = tap.feed(data)
                if frames:
                    if not call.ttft_us:
                        call.ttft_us = call.elapsed_us()
                        if self.on_first_byte is not None:
                            self.on_first_byte()
                        await client.start_stream()
                    await client.send(frames)
                if call.ttft_us and not tap.is_ended:
                    await response.pump(self._relay)
                if tap.is_ended:
                    return
        finally:
            self._keepalives.discard(client)
            tap.close()  # also of a stream that broke: its last frame may have been the end

    def _relay(self, data: bytes) -> bool:
        """What comes after the beginning, while the client reads as fast as the provider sends."""
        tap = self._tap
        frames = tap.feed(data)
        return (not frames or self.client.send_now(frames)) and not tap.is_ended

    async def conclude(self, target: Target, response: UpstreamResponse | None, failure: Exception | None) -> str:
        tap = self._tap
        if response is not None and tap.is_complete:
            return await self._complete(target, response)
        if tap.error is not None and tap.relayed_bytes:
            return await self._fail(target)
        if self.client.is_gone:
            self._record_partial(target, "client_gone")
            return "client_gone"
        if not self.client.has_started:
            raise _nothing_sent(tap, failure)
        if tap.error is not None:
            return await self._fail(target)
        return await self._cut(target, failure)

    async def _complete(self, target: Target, response: UpstreamResponse) -> str:
        call, tap = self._call, self._tap
        usage, is_estimated = self._recording.complete(call, tap.usage, lambda: tap.output_bytes)
        if is_estimated:
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
            await self._recording.until_recorded(recorded)
        except ApiError as error:
            await self._send_error(error)
            return "unrecorded"
        await self.client.start_stream()
        await self.client.finish(tap.held)
        await read_to_end(response)
        return "ok"

    async def _fail(self, target: Target) -> str:
        """The provider's error, after text or a keepalive."""
        tap = self._tap
        assert tap.error is not None
        self._recording.record(
            self._call,
            target,
            tap.usage or TokenUsage(),
            status=200,
            reason="error_event",
            is_billable=False,
            anomalies=tap.anomalies,
        )
        await self._send_error(tap.error.api_error())
        return "error_event"

    async def _cut(self, target: Target, failure: Exception | None) -> str:
        reason = failure.reason if isinstance(failure, UpstreamFailure) else "cut"
        self._record_partial(target, reason)
        await self._send_error(
            ApiError(ErrorKind.UPSTREAM_FAILED, "The provider's stream ended before the answer was complete.")
        )
        return reason

    async def _send_error(self, error: ApiError) -> None:
        call = self._call
        await self.client.start_stream()
        await self.client.finish(
            encode_stream_error(call.dialect, error, call.request_id, next_sequence=self._tap.next_sequence)
        )

    def _record_partial(self, target: Target, reason: str) -> None:
        """Part of an answer was delivered and no more can be: reported where reported, the output estimated."""
        tap = self._tap
        usage = self._recording.estimate(self._call, tap.usage, tap.output_bytes)
        self._recording.record(
            self._call,
            target,
            usage,
            status=499 if reason == "client_gone" else 200,
            finish_reason=tap.finish_reason or "",
            reason=reason,
            is_estimated=True,
            is_billable=tap.relayed_bytes > 0,
            anomalies=tap.anomalies,
        )


def _nothing_sent(tap: Tap, failure: Exception | None) -> AttemptFailed:
    if tap.error is not None:
        return error_inside(tap.error, "error_event")
    return unusable(failure, "The provider's stream is broken.")
