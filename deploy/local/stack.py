"""The processes of a whole Lumen on one machine, with the settings each is given."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from deploy.local.engines import clickhouse_spec, nats_spec, valkey_spec
from deploy.local.layout import Layout
from deploy.local.probes import http_url
from deploy.local.process_spec import ProcessSpec

SIMULATOR_KEY = "lumen-simulator"  # the demo catalog's provider key; the simulator takes any
LOOPBACK = "127.0.0.0/8,::1/128"
_DATABASE = "lumen"
# An open stream may finish after Ctrl-C, but a person waits for the prompt.
_EDGE_DRAIN_S = 10.0
# What each needs before it is worth starting. All else the services wait for themselves, so that their imports, which
# dominate the start, run side by side with the ClickHouse engine's.
_AFTER = {
    "auth": ("nats", "valkey"),
    "router": ("nats",),
    "billing": ("nats", "valkey"),
    "edge": ("nats",),
    "console": (),
}
# What each talks to: it is stopped before them, so that streams end, entries are acknowledged and posted.
_USES = {
    "auth": ("nats", "valkey"),
    "router": ("nats",),
    "billing": ("nats", "valkey", "clickhouse"),
    "edge": ("auth", "router", "billing", "nats", "simulator"),
    "console": ("auth", "router", "billing", "clickhouse"),
}
# Addresses of another stack, as its `env` file exports them, or of one service; ours must win.
_FOREIGN = re.compile(
    r"LUMEN_(?:[A-Z]+_)?(?:NATS_URL|REDIS_URL|CLICKHOUSE_URL|ADMIN_TOKEN|ADMIN_URL|CONSOLE_URL|SIMULATOR_URL|BASE_URL"
    r"|API_KEY|ACCOUNT|(?:AUTH|ROUTER|BILLING|BILLING_QUERIES)_ADDRESS|HOST|PORT|QUERIES_PORT|OPS_HOST|OPS_PORT|STATE_DIR)|LUMEN_PID_[A-Z]+"
)


def stack_specs(layout: Layout) -> list[ProcessSpec]:
    """In the order in which people think of them: engines, simulator, services."""
    data = layout.state_dir
    return [
        nats_spec(layout.port("nats"), data / "nats", monitor_port=layout.nats_monitor_port),
        valkey_spec(layout.port("valkey"), data / "valkey"),
        clickhouse_spec(layout.port("clickhouse"), data / "clickhouse"),
        ProcessSpec(
            name="simulator",
            argv=(sys.executable, "-m", "simulator"),
            ports=(layout.port("simulator"),),
            ready_url=http_url(layout.port("simulator")),
            env=_listen("simulator", layout.port("simulator")),
        ),
        _service(layout, "auth"),
        _service(layout, "router"),
        _service(layout, "billing"),
        _service(
            layout,
            "console",
            {
                "LUMEN_CONSOLE_API_URL": layout.url("edge"),
                "LUMEN_CONSOLE_WEBHOOKS_ALLOW_PRIVATE": "true",  # a machine of one's own
            },
        ),
        _service(
            layout,
            "edge",
            {
                "LUMEN_EDGE_STATE_DIR": str(data / "edge"),
                "LUMEN_EDGE_CORS_ORIGINS": layout.url("console"),
                "LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX": str(_EDGE_DRAIN_S),
            },
            stop_timeout_s=_EDGE_DRAIN_S + 10,
        ),
    ]


def stack_environment(layout: Layout, admin_token: str, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every process of the stack gets. Settings of the caller's environment (LUMEN_EDGE_CACHE=off, provider keys)
    pass through, addresses of other stacks do not."""
    return {
        "LUMEN_EDGE_PRIVATE_UPSTREAMS": LOOPBACK,  # the simulator; the caller may allow others instead
        **{name: value for name, value in inherited.items() if not _FOREIGN.fullmatch(name)},
        "LUMEN_NATS_URL": layout.url("nats", "nats"),
        "LUMEN_REDIS_URL": f"{layout.url('valkey', 'redis')}/0",
        "LUMEN_CLICKHOUSE_URL": f"{layout.url('clickhouse')}/{_DATABASE}",
        "LUMEN_AUTH_ADDRESS": _address(layout, "auth"),
        "LUMEN_ROUTER_ADDRESS": _address(layout, "router"),
        "LUMEN_BILLING_ADDRESS": _address(layout, "billing"),
        "LUMEN_BILLING_QUERIES_PORT": str(layout.queries_port),
        "LUMEN_BILLING_QUERIES_ADDRESS": f"127.0.0.1:{layout.queries_port}",
        "LUMEN_ADMIN_TOKEN": admin_token,
        "LUMEN_SIMULATOR_KEY": SIMULATOR_KEY,
    }


def public_addresses(layout: Layout) -> dict[str, str]:
    """The addresses that `<state-dir>/env` exports."""
    return {
        "LUMEN_BASE_URL": layout.url("edge"),
        "LUMEN_ADMIN_URL": layout.url("console"),
        "LUMEN_CONSOLE_URL": layout.url("console"),
        "LUMEN_NATS_URL": layout.url("nats", "nats"),
        "LUMEN_REDIS_URL": f"{layout.url('valkey', 'redis')}/0",
        "LUMEN_CLICKHOUSE_URL": f"{layout.url('clickhouse')}/{_DATABASE}",
        "LUMEN_SIMULATOR_URL": layout.url("simulator"),
    }


def _service(
    layout: Layout, name: str, settings: Mapping[str, str] | None = None, *, stop_timeout_s: float = 10.0
) -> ProcessSpec:
    ops = {f"LUMEN_{name.upper()}_OPS_HOST": "127.0.0.1", f"LUMEN_{name.upper()}_OPS_PORT": str(layout.ops_port(name))}
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", f"services.{name}"),
        ports=(layout.port(name), layout.ops_port(name), *((layout.queries_port,) if name == "billing" else ())),
        ready_url=http_url(layout.ops_port(name)),
        env={**_listen(name, layout.port(name)), **ops, **(settings or {})},
        after=_AFTER[name],
        uses=_USES[name],
        ready_timeout_s=60.0,
        stop_timeout_s=stop_timeout_s,
    )


def _listen(name: str, port: int) -> dict[str, str]:
    return {f"LUMEN_{name.upper()}_HOST": "127.0.0.1", f"LUMEN_{name.upper()}_PORT": str(port)}


def _address(layout: Layout, service: str) -> str:
    return f"127.0.0.1:{layout.port(service)}"
