"""Settings of a service: one frozen object per process, read once from the environment at start.

Each service subclasses `ServiceSettings` with its own prefix (`LUMEN_EDGE_`, ...). Addresses that every service
shares may be given once for all (`LUMEN_NATS_URL`) or per service (`LUMEN_EDGE_NATS_URL`, which wins).
"""

from __future__ import annotations

from typing import Any

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


class ServiceSettings(BaseSettings):
    """What every service has. Subclasses set `model_config = service_config("LUMEN_<NAME>_")`."""

    log_level: str = Field(default="INFO", validation_alias=AliasChoices("LUMEN_LOG_LEVEL", "log_level"))
    ops_host: str = "127.0.0.1"
    ops_port: int = Field(default=0, description="/metrics, /healthz, /readyz; 0 picks a free port")
