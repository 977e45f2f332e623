"""One process's tracer: who is sampled, a bounded queue to the collector that never makes a request wait, its metrics.

A span that finds the queue full is dropped and counted; so are those of a batch that the collector did not take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter

from lumen.platform.logging import traceparent_var

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import Attributes

TRACEPARENT = "traceparent"
LINKS_MAX = 128  # of one span; OpenTelemetry's own default limit
_FLUSH_MS_MAX = 2000
_EXPORT_S_MAX = 5.0
_propagator = TraceContextTextMapPropagator()


class _Metrics:
    """Made without a registry: a process's is there later than its tracer."""

    def __init__(self) -> None:
        self.exported = Counter("lumen_tracing_spans_exported_total", "Spans the collector took.", registry=None)
        self.dropped = Counter(
            "lumen_tracing_spans_dropped_total", "Spans that went nowhere.", ["reason"], registry=None
        )
        for reason in ("queue_full", "export_failed"):
            self.dropped.labels(reason)


class _CountingExporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, metrics: _Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self.taken = 0  # spans that have left the queue; counted by the exporting thread alone

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._metrics.exported.inc(len(spans))
        else:
            self._metrics.dropped.labels("export_failed").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _BoundedProcessor(SpanProcessor):
    """BatchSpanProcessor forgets what does not fit without a word that could be alerted on; this one counts it."""

    def __init__(self, exporter: SpanExporter, metrics: _Metrics, spans_max: int) -> None:
        self._exporter = _CountingExporter(exporter, metrics)
        self._metrics = metrics
        self._spans_max = spans_max
        self._queued = 0  # ever; counted by the event loop alone
        self._batches = BatchSpanProcessor(
            self._exporter, max_queue_size=spans_max, max_export_batch_size=min(512, spans_max)
        )

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self._batches.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        if not span.context.trace_flags.sampled:
            return
        if self._queued - self._exporter.taken >= self._spans_max:
            self._metrics.dropped.labels("queue_full").inc()
            return
        self._queued += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = _FLUSH_MS_MAX) -> bool:
        return self._batches.force_flush(timeout_millis)


class _Sampling(Sampler):
    """A span with links belongs to requests that were sampled: it is, too. Others follow parent or ratio."""

    def __init__(self, otherwise: Sampler) -> None:
        self._otherwise = otherwise

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = ALWAYS_ON if links else self._otherwise
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Linked({self._otherwise.get_description()})"


class Tracing:
    """`start_span` and its spans' `end`; `close` at the process's end.

    `exporter`: where spans go; None: OTLP over HTTP, as OpenTelemetry's variables say.
    """

    def __init__(
        self,
        service: str,
        *,
        sample_ratio: float,
        queue_spans_max: int,
        trust_clients: bool = True,
        exporter: SpanExporter | None = None,
    ) -> None:
        self._metrics = _Metrics()
        ratio = TraceIdRatioBased(sample_ratio)
        sampler = ParentBased(ratio) if trust_clients else ParentBased(ratio, ratio, ratio)
        self._provider = TracerProvider(
            sampler=_Sampling(sampler),
            resource=Resource.create({"service.namespace": "lumen", "service.name": f"lumen-{service}"}),
            shutdown_on_exit=False,
        )
        exporter = exporter or OTLPSpanExporter(timeout=_EXPORT_S_MAX)
        self._provider.add_span_processor(_BoundedProcessor(exporter, self._metrics, queue_spans_max))
        self._tracer = self._provider.get_tracer("lumen")

    def register(self, registry: CollectorRegistry) -> None:
        registry.register(self._metrics.exported)
        registry.register(self._metrics.dropped)

    def start_span(
        self,
        name: str,
        *,
        parent: Span | str | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> Span:
        """`parent`: a span of this process, or a W3C traceparent (a malformed one counts as none). `links`:
        traceparents, of which at most LINKS_MAX are kept. `start_ns`: Unix time."""
        found = [context for link in links[:LINKS_MAX] if (context := _span_context(link)) is not None]
        return self._tracer.start_span(
            name,
            context=_context(parent),
            kind=kind,
            links=[Link(context) for context in found],
            start_time=start_ns,
        )

    def interceptor(self) -> grpc.aio.ServerInterceptor:  # type: ignore[type-arg]  # generic in the stubs only
        return _ServerSpans(self)

    def close(self) -> None:
        """What is queued still goes out, in a bounded time. Blocks: call it when the process has nothing else to do."""
        self._provider.force_flush(_FLUSH_MS_MAX)
        self._provider.shutdown()


def traceparent_of(span: Span) -> str:
    """The W3C header value that makes `span` the parent on the other side."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def is_sampled(span: Span) -> bool:
    return bool(span.get_span_context().trace_flags & TraceFlags.SAMPLED)


def _context(parent: Span | str | None) -> Context:
    # Never the ambient context: what is whose parent is always said.
    if isinstance(parent, Span):
        return trace.set_span_in_context(parent, otel_context.Context())
    if parent:
        return _propagator.extract({TRACEPARENT: parent}, otel_context.Context())
    return otel_context.Context()


def _span_context(traceparent: str) -> SpanContext | None:
    context = trace.get_current_span(_context(traceparent)).get_span_context()
    return context if context.is_valid else None


class _ServerSpans(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """A span per unary call that carries a traceparent; watch streams last for days and have none."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        parent = next((str(value) for key, value in details.invocation_metadata or () if key == TRACEPARENT), "")
        if handler is None or handler.unary_unary is None or not parent:
            return handler
        inner = handler.unary_unary
        method = details.method.lstrip("/")

        async def call(request: Any, context: Any) -> Any:
            span = self._tracing.start_span(method, parent=parent, kind=SpanKind.SERVER)
            traceparent_var.set(traceparent_of(span))
            span.set_attributes({"rpc.system": "grpc", "rpc.method": method})
            try:
                return await inner(request, context)
            except BaseException:
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                span.set_attribute("rpc.grpc.status_code", _status_number(context))
                span.end()

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _status_number(context: Any) -> int:
    """0 (OK) is what a handler that sets none answers."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return int(code.value[0])
    return int(code or 0)
