"""Console's settings: `LUMEN_CONSOLE_*`, read once at start. Sizes in bytes, times in seconds."""

from __future__ import annotations

from pydantic import AliasChoices, Field, SecretStr

from lumen.platform.settings import ServiceSettings, service_config, shared

_PREFIX = "LUMEN_CONSOLE_"


class ConsoleSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    host: str = "127.0.0.1"
    port: int = Field(default=7081, description="HTTP; 0 picks a free port")
    # An empty token would let everybody in, so it is no default and no value.
    admin_token: SecretStr = Field(
        min_length=1,
        validation_alias=AliasChoices(f"{_PREFIX}ADMIN_TOKEN", "LUMEN_ADMIN_TOKEN", "admin_token"),
    )

    auth_address: str = shared(_PREFIX, "auth_address")
    router_address: str = shared(_PREFIX, "router_address")
    billing_address: str = shared(_PREFIX, "billing_address")
    clickhouse_url: str = shared(_PREFIX, "clickhouse_url")

    cors_origins: str = Field(default="", description="origins whose pages may call the API, comma-separated")
    public_url: str = Field(
        default="", description="of the console, for invitations' links; empty: as the request came"
    )
    api_url: str = Field(
        default="http://127.0.0.1:7080", description="of the public API: shown on pages, called by the playground"
    )
    trusted_proxies: str = Field(
        default="127.0.0.1", description="addresses or CIDRs, by commas, whose X-Forwarded-For and -Proto are believed"
    )
    webhooks_allow_private: bool = Field(
        default=False, description="also plain HTTP and private addresses: for development only"
    )
    alert_interval_s: float = Field(default=15.0, description="between looks at the balances that have an alert")

    call_timeout_s: float = Field(default=10.0, description="of one call to another service, and of one query")
    reconcile_timeout_s: float = Field(default=60.0, description="the proof reads everything")
    body_bytes_max: int = Field(default=4 * 1024 * 1024, description="of a request; a catalog is the largest")

    issuer_name: str = Field(default="Lumen", min_length=1, max_length=200, description="who bills, in FOCUS exports")
    exports_at_once_max: int = Field(default=4, ge=1, description="above this, 503 with retry-after")
    export_s_max: float = Field(default=3600.0, description="one export as a whole")
    export_chunk_s_max: float = Field(default=120.0, description="waiting for ClickHouse's next rows of an export")
