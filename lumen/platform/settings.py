"""Settings of a service: one frozen object per process, read once from the environment at start.

Each service subclasses `ServiceSettings` with its own prefix (`LUMEN_EDGE_`, ...). Addresses that every service
shares may be given once for all (`LUMEN_NATS_URL`) or per service (`LUMEN_EDGE_NATS_URL`, which wins).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def service_config(prefix: str) -> SettingsConfigDict:
    """The model_config of a service's settings; `prefix` such as LUMEN_EDGE_."""
    return SettingsConfigDict(env_prefix=prefix, frozen=True, extra="ignore", populate_by_name=True)


def shared(prefix: str, name: str, default: Any = ..., description: str = "") -> Any:
    """A field read from `<prefix><NAME>` or, failing that, `LUMEN_<NAME>`."""
    upper = name.upper()
    return Field(
        default=default,
        validation_alias=AliasChoices(f"{prefix}{upper}", f"LUMEN_{upper}", name),
        description=description,
    )


def _of_all(name: str, default: Any, description: str, **limits: Any) -> Any:
    """A field that is the same for every service: `LUMEN_<NAME>`."""
    alias = AliasChoices(f"LUMEN_{name.upper()}", name)
    return Field(default=default, validation_alias=alias, description=description, **limits)


class ServiceSettings(BaseSettings):
    """What every service has. Subclasses set `model_config = service_config("LUMEN_<NAME>_")`."""

    log_level: str = _of_all("log_level", "INFO", "of Python's logging")
    ops_host: str = "127.0.0.1"
    ops_port: int = Field(default=0, description="/metrics, /healthz, /readyz; 0 picks a free port")

    tracing: Literal["off", "on"] = _of_all("tracing", "off", "traces by OpenTelemetry, to OTEL_EXPORTER_OTLP_ENDPOINT")
    tracing_sample_ratio: float = _of_all(
        "tracing_sample_ratio", 0.01, "of the requests that begin a trace", ge=0, le=1
    )
    tracing_queue_spans_max: int = _of_all("tracing_queue_spans_max", 4096, "above it spans are dropped", gt=0)
