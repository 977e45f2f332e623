"""How a service process lives: start, serve until SIGTERM or SIGINT, drain, stop.

A background task that dies takes the process with it: a half-working service is worse than a restarted one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import uvloop

import lumen.platform.unused_imports  # noqa: F401  (before any service's nats)

logger = logging.getLogger(__name__)


async def cancel_until_done(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end, again and again: on Python 3.11 `asyncio.wait_for` (which nats-py uses
    throughout) loses a cancellation that arrives together with its result. Their exceptions are left to the caller."""
    pending = set(tasks)
    interrupted: asyncio.CancelledError | None = None
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=0.2)
        except asyncio.CancelledError as error:  # our own: finish first, or the tasks would be left behind
            interrupted = error
            pending = {task for task in pending if not task.done()}
    if interrupted is not None:
        raise interrupted


class Lifecycle:
    """The process's stop signal and its supervised background tasks."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `work` until it ends or the process stops; an exception stops the process with exit code 1."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.critical("background task failed", exc_info=error, extra={"task": task.get_name()})
            self._failure = self._failure or error
            self.stopping.set()

    async def cancel_tasks(self) -> None:
        await cancel_until_done(list(self._tasks))

    @property
    def failure(self) -> BaseException | None:
        return self._failure


def run(serve: Callable[[Lifecycle], Awaitable[None]]) -> int:
    """Run `serve` on uvloop and return the exit code.

    `serve` starts its parts, awaits `lifecycle.stopping`, drains and returns. Remaining background tasks are then
    cancelled.
    """

    async def main() -> int:
        lifecycle = Lifecycle()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lifecycle.stopping.set)
        try:
            await serve(lifecycle)
        finally:
            await lifecycle.cancel_tasks()
        return 1 if lifecycle.failure else 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
