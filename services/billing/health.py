"""What keeps billing from keeping up, by the part that noticed: the source of /readyz."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from services.billing.metrics import BillingMetrics

logger = logging.getLogger(__name__)

_BACKOFF_S_MIN = 0.1
_BACKOFF_S_MAX = 5.0


class Health:
    """Problems by part; a part without one is fine."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {"consumer": "not started"}

    def set(self, part: str, problem: str | None) -> None:
        if problem is None:
            self._problems.pop(part, None)
        else:
            self._problems[part] = problem

    def stand_by(self) -> None:
        """Another billing does the work: nothing keeps this one from it."""
        self._problems.clear()

    def problem(self, part: str) -> str | None:
        return self._problems.get(part)


class Persistence:
    """Repeats a step until it succeeds: a store that is away means lag, never loss, so nothing is ever skipped."""

    def __init__(self, health: Health, metrics: BillingMetrics) -> None:
        self._health = health
        self._metrics = metrics

    async def until_done(
        self, stage: str, step: Callable[[], Awaitable[None]], retry_on: tuple[type[Exception], ...]
    ) -> None:
        """Run `step`, with jittered backoff capped at 5 s, for as long as it raises one of `retry_on`."""
        started = time.monotonic()
        backoff_s = _BACKOFF_S_MIN
        while True:
            try:
                await step()
            except retry_on as error:
                if self._health.problem(stage) is None:
                    logger.warning("stage waits", extra={"stage": stage, "error": str(error)[:500]})
                self._health.set(stage, str(error)[:500])
                self._metrics.retries.labels(stage).inc()
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
                continue
            if self._health.problem(stage) is not None:
                logger.info("stage recovered", extra={"stage": stage, "after_s": round(time.monotonic() - started, 3)})
                self._health.set(stage, None)
            self._metrics.stage_duration.labels(stage).observe(time.monotonic() - started)
            return
