"""Who is sampled, what a full queue and a collector that refuses cost, and that all of it is absent while it is off."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from lumen.platform.tracing.otel import Tracing, is_sampled, traceparent_of

_SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"
_UNSAMPLED = f"00-{'f' * 32}-{'b' * 16}-00"


class Exporter(SpanExporter):
    """Waits for `gate` before it takes (or refuses) a batch."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.gate = threading.Event()
        self.spans: list[ReadableSpan] = []
        self._result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait(30)
        self.spans += spans
        return self._result


def tracing_to(exporter: Exporter, *, ratio: float = 1, spans_max: int = 64, trust: bool = True) -> Tracing:
    return Tracing("test", sample_ratio=ratio, queue_spans_max=spans_max, trust_clients=trust, exporter=exporter)


def counted(tracing: Tracing) -> tuple[float, float, float]:
    """Exported, dropped for want of room, not taken by the collector."""
    registry = CollectorRegistry()
    tracing.register(registry)
    dropped = "lumen_tracing_spans_dropped_total"
    values = (
        registry.get_sample_value("lumen_tracing_spans_exported_total"),
        registry.get_sample_value(dropped, {"reason": "queue_full"}),
        registry.get_sample_value(dropped, {"reason": "export_failed"}),
    )
    return tuple(value or 0.0 for value in values)  # type: ignore[return-value]


def test_a_collector_that_stands_makes_nobody_wait_and_what_does_not_fit_is_counted() -> None:
    exporter = Exporter()
    tracing = tracing_to(exporter, spans_max=8)
    for _ in range(50):
        tracing.start_span("one").end()
    exporter.gate.set()
    tracing.close()
    exported, full, failed = counted(tracing)
    assert exported + full == 50
    assert failed == 0
    assert 8 <= exported == len(exporter.spans) <= 16  # what was being exported, and the queue behind it


def test_batches_that_the_collector_refuses_are_counted() -> None:
    exporter = Exporter(SpanExportResult.FAILURE)
    exporter.gate.set()
    tracing = tracing_to(exporter)
    for _ in range(5):
        tracing.start_span("one").end()
    tracing.close()
    assert counted(tracing) == (0, 0, 5)


@pytest.mark.parametrize(
    ("parent", "ratio", "trust", "expected"),
    [
        (_SAMPLED, 0.0, True, True),
        (_UNSAMPLED, 1.0, True, False),
        (_SAMPLED, 0.0, False, False),
        (_UNSAMPLED, 1.0, False, True),
        (None, 0.0, True, False),
        (None, 1.0, True, True),
        ("not a traceparent", 1.0, True, True),
        (f"00-{'0' * 32}-{'b' * 16}-01", 0.0, True, False),
        (f"00-{'a' * 32}-{'b' * 16}-01-more", 0.0, True, False),
    ],
)
def test_who_decides_whether_a_trace_is_sampled(parent: str | None, ratio: float, trust: bool, expected: bool) -> None:
    exporter = Exporter()
    exporter.gate.set()
    tracing = tracing_to(exporter, ratio=ratio, trust=trust)
    span = tracing.start_span("one", parent=parent)
    child = tracing.start_span("two", parent=span)
    assert is_sampled(span) == is_sampled(child) == expected
    assert traceparent_of(span)[3:35] == traceparent_of(child)[3:35]
    tracing.close()


def test_what_links_to_sampled_requests_is_sampled_and_links_are_bounded() -> None:
    exporter = Exporter()
    exporter.gate.set()
    tracing = tracing_to(exporter, ratio=0)
    tracing.start_span("post", links=["nonsense", *[_SAMPLED] * 500]).end()
    tracing.close()
    (span,) = exporter.spans
    assert len(span.links) == 127
    assert {f"{link.context.trace_id:032x}" for link in span.links} == {"a" * 32}


@pytest.mark.parametrize("service", ["edge", "auth", "router", "billing"])
def test_a_service_that_does_not_trace_does_not_import_what_traces(service: str) -> None:
    """FastAPI and redis import OpenTelemetry's API, and redis its metrics, where they find them."""
    program = (
        f"import sys, services.{service}.bootstrap;"
        "print([n for n in sys.modules if n.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
