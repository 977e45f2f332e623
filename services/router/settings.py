"""Router's settings: `LUMEN_ROUTER_*`, read once at start. Times in seconds."""

from __future__ import annotations

from pydantic import Field

from lumen.platform.settings import ServiceSettings, service_config, shared

_PREFIX = "LUMEN_ROUTER_"


class RouterSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    host: str = "127.0.0.1"
    port: int = Field(default=7088, description="gRPC; 0 picks a free port")
    nats_url: str = shared(_PREFIX, "nats_url")

    kv_replicas: int = Field(default=1, description="of the KV bucket `catalog`; 3 in production")
    start_wait_s_max: float = Field(default=60.0, description="for NATS at start")
    heartbeat_s: float = Field(default=0.5, description="silence after which a watch stream says it is alive")
    report_expiry_s: float = Field(default=60.0, description="how long an edge's channel report counts")
