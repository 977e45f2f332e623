"""Where a stack's processes listen and where its files are. The port table is part of ARCHITECTURE.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_BASE_PORT = 7080
_PORT_MAX = 65535
_OFFSETS = {
    "edge": 0,
    "console": 1,
    "simulator": 2,
    "nats": 3,
    "valkey": 5,
    "clickhouse": 6,
    "auth": 7,
    "router": 8,
    "billing": 9,
}
_NATS_MONITOR_OFFSET = 4
_QUERIES_OFFSET = 15
_OPS_OFFSETS = {"edge": 10, "auth": 11, "router": 12, "billing": 13, "console": 14}


@dataclass(frozen=True, slots=True)
class Layout:
    """Raises ValueError when the ports do not fit. `state_dir` is absolute."""

    state_dir: Path
    base_port: int = DEFAULT_BASE_PORT

    def __post_init__(self) -> None:
        if not 1024 <= self.base_port <= _PORT_MAX - _QUERIES_OFFSET:
            raise ValueError(f"base port {self.base_port}: choose one from 1024 to {_PORT_MAX - _QUERIES_OFFSET}")

    def port(self, process: str) -> int:
        return self.base_port + _OFFSETS[process]

    def ops_port(self, service: str) -> int:
        return self.base_port + _OPS_OFFSETS[service]

    @property
    def nats_monitor_port(self) -> int:
        return self.base_port + _NATS_MONITOR_OFFSET

    @property
    def queries_port(self) -> int:
        """Billing's second port: what edges may ask."""
        return self.base_port + _QUERIES_OFFSET

    def url(self, process: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port(process)}"

    @property
    def env_file(self) -> Path:
        return self.state_dir / "env"

    @property
    def catalog_file(self) -> Path:
        return self.state_dir / "catalog.yaml"

    @property
    def status_file(self) -> Path:
        return self.state_dir / "status.json"

    @property
    def pid_file(self) -> Path:
        return self.state_dir / "supervisor.pid"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"
