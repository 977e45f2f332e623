"""The posting of a group as a span that links to the requests whose entries it holds; only while tracing is on."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from lumen.platform.logging import traceparent_var
from lumen.platform.tracing.otel import Tracing, traceparent_of
from services.billing.applier import Applier
from services.billing.groups import Group


class TracedApplier(Applier):
    """A group without a sampled request has no span."""

    def __init__(self, tracing: Tracing, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tracing = tracing

    async def apply(self, group: Group) -> None:
        if not group.traceparents:
            await super().apply(group)
            return
        span = self._tracing.start_span("post", kind=SpanKind.CONSUMER, links=group.traceparents)
        span.set_attributes(
            {
                "messaging.system": "nats",
                "messaging.batch.message_count": group.messages,
                "lumen.entries": group.entries,
                "lumen.last_sequence": group.last_sequence,
            }
        )
        before = traceparent_var.set(traceparent_of(span))
        try:
            await super().apply(group)
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            traceparent_var.reset(before)
            span.end()
