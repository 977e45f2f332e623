"""A request's spans, made only while tracing is on: then the bootstrap takes these classes in place of their parents,
and the request path itself knows nothing of traces.

    request (server)                 the client's traceparent is its parent
      admission                      key, limits, hold; calls to auth and router are its children, over there
      attempt (client)               one per target that was tried
      record                         until the ledger or the spool has the usage entry
    post, in billing                 links to the requests whose entries it posts

Names and attributes follow OpenTelemetry's GenAI conventions. Never a prompt, an answer or a key: models, counts, ids.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from lumen.catalog.resolve import Target
from lumen.money.usage import TokenUsage
from lumen.platform.logging import traceparent_var
from lumen.platform.tracing.otel import TRACEPARENT, Tracing, is_sampled, traceparent_of
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError
from lumen.protocols.translation import Translate, plan
from services.edge.attempts import Attempts
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.exchanges import AttemptFailed, Exchange, UpstreamMessage
from services.edge.model_endpoint import ModelEndpoint
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.recording import Recording
from services.edge.relay_single import SingleExchange
from services.edge.relay_stream import StreamExchange
from services.edge.request_head import RequestHead

_TRACEPARENT = TRACEPARENT.encode()
_OPERATION = "chat"
# The conventions' names of the APIs that a dialect stands for, not of who runs them: that is `server.address`.
_PROVIDERS = {
    Dialect.OPENAI_CHAT: "openai",
    Dialect.OPENAI_RESPONSES: "openai",
    Dialect.ANTHROPIC_MESSAGES: "anthropic",
    Dialect.GEMINI_GENERATE: "gcp.gemini",
}


class RequestTrace:
    """One request's spans. `started`: monotonic, when the request began."""

    def __init__(self, tracing: Tracing, client: ClientConnection, head: RequestHead, started: float) -> None:
        self._tracing = tracing
        start_ns = time.time_ns() - int((time.monotonic() - started) * 1e9)
        parent = head.fields.get(_TRACEPARENT, b"").decode("latin-1")
        self.span = tracing.start_span(_OPERATION, parent=parent, kind=SpanKind.SERVER, start_ns=start_ns)
        self._admission = tracing.start_span("admission", parent=self.span, start_ns=start_ns)
        traceparent_var.set(traceparent_of(self._admission))
        self.span.set_attributes(
            {
                gen_ai.GEN_AI_OPERATION_NAME: _OPERATION,
                "http.request.method": "POST",
                "http.route": head.path,
                "lumen.request_id": client.request_id,
            }
        )

    def admitted(self, call: Call) -> None:
        """Called again for each model of a chain of fallbacks."""
        self._admission.end()  # the second time it does nothing
        self.span.update_name(f"{_OPERATION} {call.peek.model}")
        self.span.set_attributes(
            {
                gen_ai.GEN_AI_REQUEST_MODEL: call.peek.model,
                gen_ai.GEN_AI_REQUEST_STREAM: call.is_stream,
                "lumen.account": call.key.account_id,
                "lumen.key_id": call.key.key_id,
                "lumen.group": call.resolution.group.name,
            }
        )
        traceparent_var.set(traceparent_of(self.span))
        call.traceparent = traceparent_of(self.span) if is_sampled(self.span) else ""

    def start_attempt(self, target: Target) -> Span:
        span = self._tracing.start_span(f"{_OPERATION} {target.upstream_model}", parent=self.span, kind=SpanKind.CLIENT)
        span.set_attributes(
            {
                gen_ai.GEN_AI_OPERATION_NAME: _OPERATION,
                gen_ai.GEN_AI_REQUEST_MODEL: target.upstream_model,
                "lumen.channel": target.channel.name,
            }
        )
        traceparent_var.set(traceparent_of(span))
        return span

    def end_attempt(self, span: Span, target: Target, upstream: Dialect, reason: str, status: int) -> None:
        span.set_attribute(gen_ai.GEN_AI_PROVIDER_NAME, _PROVIDERS[upstream])
        span.set_attribute("server.address", urlsplit(target.channel.dialects[upstream.value]).hostname or "")
        if status:
            span.set_attribute("http.response.status_code", status)
        if reason != "ok":
            span.set_attribute("error.type", reason)
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        traceparent_var.set(traceparent_of(self.span))

    def record(self, call: Call, target: Target, usage: TokenUsage, finish_reason: str) -> Span:
        self.span.set_attributes(
            {
                gen_ai.GEN_AI_PROVIDER_NAME: _PROVIDERS[call.upstream_dialect],
                gen_ai.GEN_AI_RESPONSE_MODEL: target.upstream_model,
                gen_ai.GEN_AI_USAGE_INPUT_TOKENS: usage.prompt_tokens(),
                gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output or 0,
                gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: usage.cache_read or 0,
                gen_ai.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: (usage.cache_write_5m or 0)
                + (usage.cache_write_1h or 0),
            }
        )
        if usage.reasoning is not None:
            self.span.set_attribute(gen_ai.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, usage.reasoning)
        if finish_reason:
            self.span.set_attribute(gen_ai.GEN_AI_RESPONSE_FINISH_REASONS, [finish_reason])
        if call.ttft_us:
            self.span.set_attribute(gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, call.ttft_us / 1e6)
        return self._tracing.start_span("record", parent=self.span, kind=SpanKind.PRODUCER)

    def end(self, status: int, error: str) -> None:
        """`status`: what the client was answered; 0 with an `error` when it had gone."""
        self._admission.end()
        if status:
            self.span.set_attribute("http.response.status_code", status)
        if error:
            self.span.set_attribute("error.type", error)
        if status >= 500 or (error and not status):
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


_current: ContextVar[RequestTrace | None] = ContextVar("request_trace", default=None)


class TracedModelEndpoint(ModelEndpoint):
    """`to_providers`: whether attempts carry a traceparent."""

    def __init__(self, tracing: Tracing, to_providers: bool, *args: Any) -> None:
        super().__init__(*args)
        self._tracing = tracing
        self._to_providers = to_providers

    async def _serve(self, client: ClientConnection, head: RequestHead, started: float) -> None:
        request = RequestTrace(self._tracing, client, head, started)
        _current.set(request)
        status, problem = 0, ""
        try:
            await super()._serve(client, head, started)
            status = client.status
        except ApiError as error:
            status, problem = error.status, error.kind.value
            raise
        except BaseException as error:
            problem = type(error).__name__
            raise
        finally:
            request.end(status, problem)

    def _exchange(self, client: ClientConnection, call: Call) -> Exchange:
        request = _current.get()
        assert request is not None, "within _serve"
        request.admitted(call)
        if not self._to_providers:
            return super()._exchange(client, call)
        if call.is_stream:
            return _TracedStream(client, call, self._recording, self._keepalives, self._settings)
        return _TracedSingle(client, call, self._recording, self._settings)


class _TracedStream(StreamExchange):
    __slots__ = ()

    def request(self, target: Target) -> UpstreamMessage:
        return _with_traceparent(super().request(target))


class _TracedSingle(SingleExchange):
    __slots__ = ()

    def request(self, target: Target) -> UpstreamMessage:
        return _with_traceparent(super().request(target))


def _with_traceparent(message: UpstreamMessage) -> UpstreamMessage:
    """The attempt's own: `_attempt` below has just begun it."""
    return message._replace(headers=[*message.headers, (_TRACEPARENT, traceparent_var.get().encode())])


class TracedAttempts(Attempts):
    async def _attempt(
        self, exchange: Exchange, target: Target, worker: ProviderWorker, model: str, is_evidence: bool
    ) -> None:
        request = _current.get()
        if request is None:  # count_tokens, which is not traced
            await super()._attempt(exchange, target, worker, model, is_evidence)
            return
        span = request.start_attempt(target)
        reason, status = "aborted", 0
        try:
            await super()._attempt(exchange, target, worker, model, is_evidence)
            reason, status = _outcome(exchange)
        except AttemptFailed as failed:
            reason, status = failed.reason, failed.status
            raise
        finally:
            request.end_attempt(span, target, _upstream_dialect(exchange, target), reason, status)


def _outcome(exchange: Exchange) -> tuple[str, int]:
    """Of an attempt that the client has had something of: noted with its usage entry."""
    last = exchange.attempts[-1]
    return last.reason, last.status


def _upstream_dialect(exchange: Exchange, target: Target) -> Dialect:
    client = exchange.client.dialect
    planned = plan(client, target.channel.dialects)
    return planned.upstream if isinstance(planned, Translate) else client


class TracedRecording(Recording):
    def record(
        self,
        call: Call,
        target: Target,
        usage: TokenUsage,
        *,
        status: int,
        finish_reason: str = "",
        reason: str = "ok",
        is_estimated: bool = False,
        is_billable: bool = True,
        anomalies: int = 0,
    ) -> asyncio.Future[None]:
        request = _current.get()
        span = request.record(call, target, usage, finish_reason) if request is not None else None
        recorded = super().record(
            call,
            target,
            usage,
            status=status,
            finish_reason=finish_reason,
            reason=reason,
            is_estimated=is_estimated,
            is_billable=is_billable,
            anomalies=anomalies,
        )
        if span is not None:
            recorded.add_done_callback(lambda _: span.end())
        return recorded
