"""A single (not streamed) answer: read whole, its usage recorded, then handed on."""

from __future__ import annotations

from collections.abc import Callable

from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.protocols.stream_reader import UpstreamProtocolError
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.exchanges import UpstreamMessage
from services.edge.failures import error_inside, unusable
from services.edge.provider_workers.transport import UpstreamResponse
from services.edge.recording import Recording
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_whole
from services.edge.wires import wire_for

_CONTENT_TYPE = b"content-type"
_JSON = b"application/json"
_BROKEN = "The provider's answer is broken."


class SingleExchange:
    """See `services.edge.exchanges.Exchange`."""

    __slots__ = ("_body", "_call", "_recording", "_settings", "_wire", "attempts", "client", "on_first_byte")

    def __init__(self, client: ClientConnection, call: Call, recording: Recording, settings: EdgeSettings) -> None:
        self.client = client
        self.attempts: list[Attempt] = call.attempts
        self.on_first_byte: Callable[[], None] | None = None
        self._call = call
        self._recording = recording
        self._settings = settings

    def request(self, target: Target) -> UpstreamMessage:
        self._wire = wire_for(self._call, target)
        message = self._wire.request()
        self._recording.note_losses(self.client, self._call, self._wire.dropped)
        return message

    async def receive(self, response: UpstreamResponse) -> None:
        self._body = await read_whole(response, self._settings.answer_bytes_max)

    async def conclude(self, target: Target, response: UpstreamResponse | None, failure: Exception | None) -> str:
        call = self._call
        if response is None or failure is not None:
            if self.client.is_gone:
                return self._record_abandoned(target)
            raise unusable(failure, _BROKEN)
        call.ttft_us = call.elapsed_us()
        body = self._body
        try:
            answer = self._wire.read_answer(body)
        except UpstreamProtocolError as error:
            raise unusable(error, _BROKEN) from error
        if answer.error is not None:
            raise error_inside(answer.error, "error_body")
        usage, is_estimated = self._recording.complete(call, answer.usage, lambda: self._wire.answer_text_bytes(body))
        client_body = self._wire.client_body(body, usage)
        recorded = self._recording.record(
            call,
            target,
            usage,
            status=200,
            finish_reason=answer.finish_reason,
            is_estimated=is_estimated,
            anomalies=answer.anomalies,
        )
        await self._recording.until_recorded(recorded)
        headers = [(_CONTENT_TYPE, response.headers.get(_CONTENT_TYPE, _JSON))]
        await self.client.respond(200, headers, client_body)
        return "ok"

    def _record_abandoned(self, target: Target) -> str:
        """The provider worked for a client that left: it may charge us for the prompt; the client never saw a byte."""
        usage = self._recording.estimate(self._call, None, 0)
        self._recording.record(
            self._call, target, usage, status=499, reason="client_gone", is_estimated=True, is_billable=False
        )
        return "client_gone"
