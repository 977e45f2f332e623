"""Low-balance alerts: every replica looks, one delivers.

Each round compares the balance of every account that has an alert with its threshold. Below it, the alert is claimed
by compare-and-set in auth (armed -> delivering), so one replica delivers; a claim that its holder did not live to
finish expires. A delivery is tried a bounded number of times with growing, jittered pauses, then given up (failed),
visibly. Above the threshold again it is armed again. At least once: `id` is the same for every try of one alert.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable

import aiohttp

from lumen.money.amounts import format_usd
from protos import auth_pb2, billing_pb2
from services.console.backends import Backends
from services.console.errors import ConsoleError
from services.console.metrics import ConsoleMetrics
from services.console.times import format_time
from services.console.webhook_addresses import PublicResolver, is_refused_host, signature

logger = logging.getLogger(__name__)

SIGNATURE_HEADER = "lumen-signature"
TRIES_MAX = 4
_PAUSE_S = 2.0
_TIMEOUT_S = 10.0
_CLAIM_S = 120
_AT_ONCE_MAX = 8


class AlertDeliveries:
    """`await run()` in a supervised task; `await close()` at the end. `pause_s`: before a second try, then doubled."""

    def __init__(
        self,
        backends: Backends,
        metrics: ConsoleMetrics,
        *,
        interval_s: float,
        allows_private: bool,
        now_s: Callable[[], int],
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._backends = backends
        self._metrics = metrics
        self._interval_s = interval_s
        self._allows_private = allows_private
        self._now_s = now_s
        self._pause_s = pause_s
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s * random.uniform(0.8, 1.2))  # jitter: replicas do not look together
            try:
                await self.look()
                self._metrics.alert_rounds.labels("looked").inc()
            except ConsoleError as error:
                self._metrics.alert_rounds.labels("unavailable").inc()
                logger.warning("alerts not looked at", extra={"reason": error.message})

    async def look(self) -> None:
        """One round. Raises ConsoleError while auth or billing is away."""
        backends = self._backends
        listed = await backends.auth.call(backends.alerts.ListAlerts, auth_pb2.ListAlertsRequest())
        slots = asyncio.Semaphore(_AT_ONCE_MAX)

        async def one(alert: auth_pb2.AlertSetting) -> None:
            async with slots:
                await self._look_at(alert)

        await asyncio.gather(*(one(alert) for alert in listed.alerts))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _look_at(self, alert: auth_pb2.AlertSetting) -> None:
        backends = self._backends
        balance = await backends.billing.call(
            backends.ledger.GetBalance, billing_pb2.GetBalanceRequest(account_id=alert.account_id)
        )
        if not balance.is_live:
            return  # a figure that is behind would alert for nothing
        is_low = balance.balance_nanousd < alert.threshold_nanousd
        now_s = self._now_s()
        if not is_low:
            if alert.state in ("delivered", "failed"):
                await self._move(alert, "armed")
            return
        is_abandoned = alert.state == "delivering" and alert.claimed_until_s < now_s
        if alert.state != "armed" and not is_abandoned:
            return
        claimed = await self._move(alert, "delivering", claimed_until_s=now_s + _CLAIM_S)
        if claimed is not None:
            problem = await self._deliver(claimed, balance.balance_nanousd, now_s)
            self._metrics.alerts.labels("failed" if problem else "delivered").inc()
            await self._move(claimed, "failed" if problem else "delivered", detail=problem)

    async def _move(
        self, alert: auth_pb2.AlertSetting, state: str, *, detail: str = "", claimed_until_s: int = 0
    ) -> auth_pb2.AlertSetting | None:
        """None: another was first, or its owner changed it."""
        order = auth_pb2.MoveAlertRequest(
            account_id=alert.account_id,
            revision=alert.revision,
            state=state,
            detail=detail,
            claimed_until_s=claimed_until_s,
        )
        try:
            return await self._backends.auth.call(self._backends.alerts.MoveAlert, order)
        except ConsoleError as error:
            if error.kind in ("conflict", "alert_not_found"):
                return None
            raise

    async def _deliver(self, alert: auth_pb2.AlertSetting, balance_nanousd: int, now_s: int) -> str:
        """Empty when it was taken (2xx), else what was wrong with the last try."""
        body = json.dumps(
            {
                "id": f"{alert.account_id}-{alert.revision}",
                "type": "balance.low",
                "created_at": format_time(now_s),
                "account": alert.account_id,
                "balance_nanousd": balance_nanousd,
                "balance_usd": format_usd(balance_nanousd),
                "threshold_nanousd": alert.threshold_nanousd,
                "threshold_usd": format_usd(alert.threshold_nanousd),
            }
        ).encode()
        problem = ""
        for number in range(TRIES_MAX):
            if number:
                self._metrics.alerts.labels("retried").inc()
                await asyncio.sleep(self._pause_s * 2 ** (number - 1) * random.uniform(0.5, 1.0))
            problem = await self._try(alert, body)
            if not problem:
                return ""
        return problem

    async def _try(self, alert: auth_pb2.AlertSetting, body: bytes) -> str:
        if not self._allows_private and is_refused_host(alert.url):
            return "not a public address"
        headers = {
            "content-type": "application/json",
            "user-agent": "lumen-webhook/1",
            SIGNATURE_HEADER: signature(alert.secret, self._now_s(), body),
        }
        try:
            async with self._client().post(alert.url, data=body, headers=headers, allow_redirects=False) as answer:
                return "" if 200 <= answer.status < 300 else f"answered with status {answer.status}"
        except TimeoutError:
            return f"no answer within {_TIMEOUT_S:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"cannot be reached: {type(error).__name__}"

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=None if self._allows_private else PublicResolver(), limit=_AT_ONCE_MAX, use_dns_cache=False
            )
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), trust_env=False
            )
        return self._session
