"""`lumen up` in one process: lock, start, set up, stay, stop."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.catalog_in_use import catalog_to_apply
from deploy.local.child import Backoff, Child, ChildState
from deploy.local.errors import LocalStackError, SetupRefused
from deploy.local.layout import Layout
from deploy.local.process_spec import ProcessSpec
from deploy.local.stack import public_addresses, stack_environment, stack_specs
from deploy.local.state import store_status, supervisor_lock
from deploy.local.supervisor import Supervisor
from lumen.cli.env_file import load_env, store_env
from lumen.cli.exit_codes import ExitCode

# The admin API answers only when these do; the edge gets ready when there is a catalog.
_NEEDED_FOR_SETUP = ("nats", "valkey", "clickhouse", "auth", "router", "billing", "console")
_ENV_ORDER = (
    "LUMEN_BASE_URL", "LUMEN_API_KEY", "LUMEN_ACCOUNT", "LUMEN_ADMIN_URL", "LUMEN_ADMIN_TOKEN", "LUMEN_CONSOLE_URL",
    "LUMEN_DEMO_PASSWORD",
    "LUMEN_NATS_URL", "LUMEN_REDIS_URL", "LUMEN_CLICKHOUSE_URL", "LUMEN_SIMULATOR_URL",
)  # fmt: skip
_KEPT = ("LUMEN_API_KEY", "LUMEN_ACCOUNT", "LUMEN_ADMIN_TOKEN", "LUMEN_DEMO_PASSWORD")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`catalog`: apply this file; None keeps what is there, and a first start takes the demo catalog."""

    layout: Layout
    catalog: Path | None = None
    backoff: Backoff = field(default_factory=Backoff)


async def run_stack(
    options: UpOptions,
    on_ready: Callable[[dict[str, str]], None],
    say: Callable[[str], None],
    specs: Callable[[Layout], Sequence[ProcessSpec]] = stack_specs,
) -> None:
    """Run until SIGINT or SIGTERM; a second signal kills. `on_ready` gets the exported variables, once; `say` gets a
    line per event. Raises LocalStackError when the start fails; then nothing runs any more."""
    if options.catalog is not None and not options.catalog.is_file():
        raise SetupRefused(f"no catalog file {options.catalog}", ExitCode.INVALID_INPUT)
    with supervisor_lock(options.layout):
        await _LocalStack(options, on_ready, say, specs(options.layout)).run()


class _LocalStack:
    def __init__(
        self,
        options: UpOptions,
        on_ready: Callable[[dict[str, str]], None],
        say: Callable[[str], None],
        specs: Sequence[ProcessSpec],
    ) -> None:
        self._options = options
        self._layout = options.layout
        self._on_ready = on_ready
        self._say = say
        self._phase = ""
        self._previous_env = _load_previous_env(self._layout)
        self._kept = {name: self._previous_env[name] for name in _KEPT if name in self._previous_env}
        self._kept.setdefault("LUMEN_ADMIN_TOKEN", secrets.token_urlsafe(32))
        self._has_logins = "LUMEN_DEMO_PASSWORD" in self._kept  # not in a state directory of an earlier release
        self._kept.setdefault("LUMEN_DEMO_PASSWORD", secrets.token_urlsafe(12))
        self._supervisor = Supervisor(
            specs,
            self._layout.logs,
            environment=stack_environment(self._layout, self._kept["LUMEN_ADMIN_TOKEN"]),
            backoff=options.backoff,
            on_change=self._changed,
        )
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        tasks: list[asyncio.Task[Any]] = []
        try:
            self._enter("starting")
            self._supervisor.start()
            starting = asyncio.create_task(self._start(), name="start")
            stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
            tasks = [starting, stopping]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            self._enter("stopping")
            for task in tasks:
                task.cancel()
            await self._supervisor.stop()
            self._layout.status_file.unlink(missing_ok=True)

    async def _start(self) -> None:
        is_first = "LUMEN_API_KEY" not in self._kept
        catalog = catalog_to_apply(self._layout, self._options.catalog, self._previous_env)
        if is_first or catalog is not None or not self._has_logins:
            await self._supervisor.until_ready(_NEEDED_FOR_SETUP)
            await self._set_up(catalog, is_first)
        await self._supervisor.until_ready()
        self._enter("ready")
        self._on_ready(self._exported())

    async def _set_up(self, catalog: Path | None, is_first: bool) -> None:
        from deploy.local.demo_setup import (
            AdminApi,
            apply_catalog,
            create_demo,
            create_logins,
        )  # 0.2 s of imports, rarely needed

        url = public_addresses(self._layout)["LUMEN_ADMIN_URL"]
        async with AdminApi(url, self._kept["LUMEN_ADMIN_TOKEN"]) as api:
            if catalog is not None:
                await apply_catalog(api, catalog, self._layout)
                self._say(f"catalog {catalog.name} applied")
            if is_first:
                self._kept.update(await create_demo(api, self._kept["LUMEN_DEMO_PASSWORD"]))
                self._say("demo account created, with credits, a key and console logins")
            elif not self._has_logins:
                await create_logins(api, self._kept["LUMEN_ACCOUNT"], self._kept["LUMEN_DEMO_PASSWORD"])

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._supervisor.kill()
        else:
            self._say("stopping")
            self._stopping.set()

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._store()

    def _changed(self, child: Child) -> None:
        if child.state is ChildState.READY:
            self._say(f"{child.spec.name} is ready on port {child.spec.ports[0]}")
        elif child.state is ChildState.BACKOFF:
            self._say(f"{child.spec.name}: {child.problem}; starting it again (log: {child.log_path})")
        self._store()

    def _store(self) -> None:
        store_status(self._layout, self._phase, self._supervisor.children.values())
        if "LUMEN_API_KEY" in self._kept:
            store_env(self._layout.env_file, self._exported())

    def _exported(self) -> dict[str, str]:
        values = {**public_addresses(self._layout), **self._kept}
        pids = {
            f"LUMEN_PID_{child.spec.name.upper()}": str(child.pid)
            for child in self._supervisor.children.values()
            if child.pid is not None
        }
        return {**{name: values[name] for name in _ENV_ORDER}, **pids}


def _load_previous_env(layout: Layout) -> dict[str, str]:
    try:
        return load_env(layout.env_file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LocalStackError(f"{layout.env_file} cannot be read: {error}") from error
