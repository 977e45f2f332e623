"""Structured logs: one JSON object per line on stderr, carrying the request id of the call being
served and, where it is traced, the ids of its span.

Never log secrets, prompts or answers: log ids, counts and kinds.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

request_id_var: ContextVar[str] = ContextVar("request_id", default="")
# W3C: of the span being worked on, also for calls to other services; empty while tracing is off.
traceparent_var: ContextVar[str] = ContextVar("traceparent", default="")


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        request_id = request_id_var.get()
        if request_id and not hasattr(record, "request_id"):
            record.request_id = request_id
        traceparent = traceparent_var.get()
        if traceparent:
            _, record.trace_id, record.span_id, _ = traceparent.split("-")
        return True


def configure_logging(service: str, level: str = "INFO") -> None:
    """Replace the root handlers by one JSON handler. `extra={...}` fields of a log call become JSON fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            static_fields={"service": service},
            timestamp=True,
        )
    )
    handler.addFilter(_RequestIdFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
