"""A single (not streamed) answer: read whole, its usage recorded, then handed on byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lumen.catalog.resolve import Target
from lumen.protocols.answer import answer_text_bytes, read_answer
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.stream_reader import UpstreamProtocolError
from services.edge.attempts import AttemptFailed, transport_failure
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.recording import Recording
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_whole

_CONTENT_TYPE = b"content-type"
_JSON = b"application/json"


class SingleRelay:
    def __init__(self, recording: Recording, metrics: EdgeMetrics, settings: EdgeSettings) -> None:
        self._recording = recording
        self._metrics = metrics
        self._settings = settings

    async def relay(self, client: ClientConnection, call: Call, target: Target, response: UpstreamResponse) -> None:
        """Raises AttemptFailed (nothing has been sent) and ApiError."""
        is_cancelling = target.channel.on_disconnect == "cancel"
        if is_cancelling:
            client.on_gone(response.abort)
        try:
            body = await read_whole(response, self._settings.answer_bytes_max)
        except UpstreamFailure as error:
            if client.is_gone:
                self._record_abandoned(call, target, "cancel" if is_cancelling else "drain")
                return
            raise transport_failure(error) from error
        finally:
            client.on_gone(None)
        call.ttft_us = call.elapsed_us()
        try:
            answer = read_answer(call.dialect, body)
        except UpstreamProtocolError as error:
            raise AttemptFailed(
                "protocol", ApiError(ErrorKind.UPSTREAM_FAILED, "The provider's answer is broken.")
            ) from error
        if answer.error is not None:
            raise AttemptFailed(
                "error_body", answer.error.api_error(), status=200, is_account_fault=answer.error.is_account_fault
            )
        usage = answer.usage
        is_estimated = usage is None or usage.output is None
        if usage is None or is_estimated:
            usage = self._recording.estimate(call, usage, answer_text_bytes(call.dialect, body))
        recorded = self._recording.record(
            call,
            target,
            usage,
            status=200,
            finish_reason=answer.finish_reason,
            is_estimated=is_estimated,
            anomalies=answer.anomalies,
        )
        await until_recorded(recorded, self._settings.record_s_max)
        headers = [(_CONTENT_TYPE, response.headers.get(_CONTENT_TYPE, _JSON))]
        await client.respond(200, headers, body)

    def _record_abandoned(self, call: Call, target: Target, policy: str) -> None:
        """The provider worked for a client that left: it may charge us for the prompt; the client never saw a byte."""
        self._metrics.disconnects.labels(policy).inc()
        usage = self._recording.estimate(call, None, 0)
        self._recording.record(
            call, target, usage, status=499, reason="client_gone", is_estimated=True, is_billable=False
        )


async def until_recorded(recorded: asyncio.Future[None], timeout_s: float) -> None:
    """Raises ApiError 503 when the ledger takes too long: the client must not see the end of an unrecorded answer."""
    if recorded.done():
        return
    # Not `asyncio.timeout`: one timer and no cancellation, on every request's path.
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    settle = _settler(waiter)
    recorded.add_done_callback(settle)
    timer = loop.call_later(timeout_s, settle, recorded)
    try:
        await waiter
    finally:
        timer.cancel()
        recorded.remove_done_callback(settle)
    if not recorded.done():
        raise ApiError(ErrorKind.OVERLOADED, "The answer could not be recorded in time.", retry_after_s=5)


def _settler(waiter: asyncio.Future[None]) -> Callable[[asyncio.Future[None]], None]:
    def settle(_: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    return settle
