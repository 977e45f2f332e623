"""Billing's settings: `LUMEN_BILLING_*`, read once at start. Sizes in bytes, times in seconds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lumen.platform.settings import ServiceSettings, service_config, shared

_PREFIX = "LUMEN_BILLING_"


class BillingSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    host: str = "127.0.0.1"
    port: int = Field(default=7089, description="gRPC; 0 picks a free port")
    queries_port: int = Field(default=0, description="gRPC for edges, read-only: balance, a key's usage; 0: not served")

    nats_url: str = shared(_PREFIX, "nats_url")
    redis_url: str = shared(_PREFIX, "redis_url")
    clickhouse_url: str = shared(_PREFIX, "clickhouse_url")

    stream_replicas: int = Field(default=1, description="of LEDGER and DEAD_LETTERS; 3 in production")
    ledger_bytes_max: int = Field(default=-1, description="size of LEDGER before it refuses entries; -1: the disk's")
    message_bytes_max: int = 1024 * 1024

    clickhouse_engine: Literal["", "Replicated"] = Field(default="", description="prefix of every table engine")
    clickhouse_cluster: str = Field(default="", description="ON CLUSTER of every migration")
    clickhouse_timeout_s: float = 30.0

    group_messages_max: int = 8192
    group_bytes_max: int = 4 * 1024 * 1024
    group_linger_s: float = Field(
        default=0.5, description="how long a first message waits for company, unless a credit comes"
    )
    catalog_revisions_max: int = Field(default=128, description="revisions kept compiled")

    owner_beat_s: float = Field(default=1.0, description="between two signs of life of the owner")
    owner_patience_s: float = Field(default=3.0, description="without one, until another process takes over")

    rollup_interval_s: float = 5.0
    check_interval_s: float = Field(default=60.0, description="between rounds of the continuous balance check")
    check_partitions: int = Field(default=8, description="partitions per round")
    proof_interval_s: float = Field(
        default=600.0, description="between whole proofs (reconcile), whose drifts are metrics"
    )
    expiry_interval_s: float = Field(default=5.0, description="between looks for credits past their expiry")
    credit_posted_wait_s_max: float = 3.0
    reconcile_catch_up_s_max: float = 10.0
    start_wait_s_max: float = Field(default=60.0, description="for NATS at start; the other stores are waited for ever")
