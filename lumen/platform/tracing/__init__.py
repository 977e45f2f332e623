"""Traces by OpenTelemetry, off by default: then its packages are not even imported, and nothing is asked per request.

`start_tracing` is all that a service's bootstrap calls; `otel.py` and the services' `tracing.py` know OpenTelemetry.
Where spans go is said by its own variables: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumen.platform.settings import ServiceSettings

if TYPE_CHECKING:
    from lumen.platform.tracing.otel import Tracing


def start_tracing(service: str, settings: ServiceSettings, *, trust_clients: bool = True) -> Tracing | None:
    """None when it is off. `trust_clients`: whether a caller's "sampled" decides; else only the ratio does."""
    if settings.tracing == "off":
        return None
    from lumen.platform.tracing.otel import Tracing

    return Tracing(
        service,
        sample_ratio=settings.tracing_sample_ratio,
        queue_spans_max=settings.tracing_queue_spans_max,
        trust_clients=trust_clients,
    )
