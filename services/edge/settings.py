"""The edge's settings: `LUMEN_EDGE_*`, read once at start. Sizes in bytes, times in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lumen.platform.settings import ServiceSettings, service_config, shared

_PREFIX = "LUMEN_EDGE_"


class EdgeSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    host: str = "127.0.0.1"
    port: int = 7080
    workers: int = Field(default=1, ge=1, le=64, description="processes that share the port; above 1: with a parent")
    is_port_shared: bool = Field(default=False, description="listen with SO_REUSEPORT; the parent sets it")
    ops_fd: int | None = Field(default=None, description="a listening socket instead of ops_port; the parent sets it")
    state_dir: Path = Field(default=Path(".lumen/edge"), description="worker id, spool, last route table")
    has_spool: bool = Field(default=True, description="False when state_dir is not on a persistent volume: 503 instead")
    spool_bytes_max: int = 1024**3
    cache: Literal["on", "off"] = Field(default="on", description="off: every request calls auth and router")

    nats_url: str = shared(_PREFIX, "nats_url")
    auth_address: str = shared(_PREFIX, "auth_address")
    router_address: str = shared(_PREFIX, "router_address")

    billing_queries_address: str = shared(
        _PREFIX, "billing_queries_address", "", "gRPC of billing's queries, for /v1/balance and /v1/usage; empty: none"
    )

    body_bytes_max: int = 32 * 1024 * 1024
    body_read_s_max: float = 60.0
    header_bytes_max: int = 64 * 1024
    head_s_max: float = Field(default=30.0, description="for a request's head to arrive")
    client_idle_s_max: float = Field(default=75.0, description="between a client's requests on one connection")
    client_stalled_s_max: float = Field(default=120.0, description="a client that stops reading is cut off after this")
    answer_bytes_max: int = Field(default=64 * 1024 * 1024, description="a single answer from a provider")
    frame_bytes_max: int = Field(default=16 * 1024 * 1024, description="one SSE frame from a provider")
    held_bytes_max: int = Field(default=16 * 1024 * 1024, description="frames held until the usage entry is recorded")
    requests_in_flight_max: int = Field(default=8192, description="above this, 503 at once")

    attempts_max: int = Field(default=6, description="providers tried per request and model, before the first byte")
    attempts_s_max: float = Field(default=120.0, description="no further one is tried after this")
    breaker_failures_max: int = Field(default=5, description="failures in a row that open a breaker")
    breaker_open_s: float = Field(default=5.0, description="before the first probe; doubled with each that fails")
    verdict_renewal_s: float = Field(default=10.0, description="open breakers are told to router again this often")
    channel_wait_s_max: float = Field(default=1.0, description="waiting for a slot when every channel is busy")
    record_s_max: float = Field(default=30.0, description="waiting for an entry to be recorded; then no clean end")
    keepalive_interval_s: float = 15.0
    drain_disconnected_s_max: float = Field(default=120.0, description="reading on for usage after the client has gone")
    drain_disconnected_max: int = Field(default=1024, description="such streams at once; above it they are cancelled")

    key_cache_entries_max: int = 100_000
    stale_s_max: float = Field(default=120.0, description="cached keys are served this long without any auth replica")
    rpc_timeout_s: float = 2.0
    cors_origins: str = Field(default="", description="origins whose pages may call, comma-separated: the console's")
    account_query_timeout_s: float = Field(default=10.0, description="of /v1/balance and /v1/usage")
    shutdown_drain_s_max: float = Field(default=3600.0, description="open streams may take this long after SIGTERM")
    tracing_trust_clients: bool = Field(default=False, description='a client\'s "sampled" counts, not only the ratio')
    tracing_to_providers: bool = Field(default=False, description="providers are sent a traceparent, too")
    bad_keys_per_minute: int = Field(
        default=60, ge=0, description="unknown keys per client address (IPv6: /64), then 429; 0: no limit"
    )
    private_upstreams: str = Field(
        default="",
        description="private networks where channels may be (CIDRs, comma-separated), or `all`; else public ones only",
    )
    trusted_proxies: str = Field(default="", description="addresses whose X-Forwarded-For is believed, comma-separated")
