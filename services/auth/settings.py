"""Auth's settings: `LUMEN_AUTH_*`, read once at start. Times in seconds."""

from __future__ import annotations

from pydantic import Field

from lumen.platform.settings import ServiceSettings, service_config, shared

_PREFIX = "LUMEN_AUTH_"


class AuthSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    host: str = "127.0.0.1"
    port: int = Field(default=7087, description="gRPC; 0 picks a free port")
    nats_url: str = shared(_PREFIX, "nats_url")
    redis_url: str = shared(_PREFIX, "redis_url")

    kv_replicas: int = Field(default=1, description="of the KV buckets `accounts` and `keys`; 3 in production")
    redis_replicas_min: int = Field(
        default=0, description="Redis replicas that must hold a grant before it is answered"
    )
    start_wait_s_max: float = Field(default=60.0, description="for NATS at start")
    heartbeat_s: float = Field(default=0.5, description="silence after which a watch stream says it is alive")

    renew_interval_s: float = Field(
        default=10.0, description="between a worker's renewals; with the margin, the wait after a Redis restart"
    )
    renew_margin_s: float = Field(
        default=2.0, description="on top of that wait: renewals are an interval and an answer's time apart"
    )
    recall_wait_s_max: float = Field(default=0.3, description="how long a refused grant waits for others' idle parts")
    redis_check_interval_s: float = Field(default=0.25, description="how often a restarted Redis is looked for")
    lease_scan_interval_s: float = Field(default=5.0, description="how often silent leases are looked for")
    lease_idle_free_s: float = Field(default=150.0, description="silence after which a lease's idle part is freed")
    lease_request_s_max: float = Field(default=3600.0, description="the longest request")
    lease_request_margin_s: float = Field(
        default=300.0, description="on top of it, before a silent lease is freed whole"
    )
    retire_interval_s: float = Field(default=0.25, description="how often a retired lease's entries are looked for")
    retire_wait_s_max: float = Field(default=900.0, description="for billing to post a retired lease's entries")

    session_s: int = Field(default=43_200, description="how long a sign-in to the console lasts")
    invitation_s: int = Field(default=259_200, description="how long an invitation's link is open")
