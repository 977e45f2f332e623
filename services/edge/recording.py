"""From a finished (or broken) answer to a usage entry: what was used, what it costs, whether the client pays.

An answer whose end came is charged as reported, or as estimated where the provider reported nothing. One that was cut
short after text had been sent is charged what was reported so far, the output estimated, marked. A failed one is not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.money.usage import TokenUsage
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.estimate import estimate_tokens
from services.edge.calls import Call
from services.edge.client_connection import ClientConnection
from services.edge.deadlines import Deadlines, NotInTime
from services.edge.limits.channels import ChannelLimits
from services.edge.metering.recorder import Metering
from services.edge.metrics import EdgeMetrics

logger = logging.getLogger(__name__)

NO_USAGE = TokenUsage()


class Recording:
    """`lease_boot`: this process's, which names the lease that pays."""

    def __init__(
        self,
        metering: Metering,
        channel_limits: ChannelLimits,
        lease_boot: int,
        metrics: EdgeMetrics,
        *,
        record_s_max: float,
    ) -> None:
        self._metering = metering
        self._channel_limits = channel_limits
        self._lease_boot = lease_boot
        self._metrics = metrics
        self._deadlines = Deadlines(record_s_max)

    def estimate(self, call: Call, reported: TokenUsage | None, output_bytes: int) -> TokenUsage:
        """What is missing from `reported`, from byte counts."""
        prompt = TokenUsage(input=call.prompt_tokens_typical) if reported is None else reported
        output = estimate_tokens(output_bytes)
        return TokenUsage(
            input=prompt.input if prompt.prompt_tokens() else call.prompt_tokens_typical,
            cache_read=prompt.cache_read,
            cache_write_5m=prompt.cache_write_5m,
            cache_write_1h=prompt.cache_write_1h,
            output=max(output, prompt.output or 0),
            reasoning=prompt.reasoning,
            audio_input=prompt.audio_input,
            audio_output=prompt.audio_output,
            image_input=prompt.image_input,
            server_tool_requests=prompt.server_tool_requests,
        )

    def complete(
        self, call: Call, reported: TokenUsage | None, output_bytes: Callable[[], int]
    ) -> tuple[TokenUsage, bool]:
        """(what an answer that came whole is charged, whether some of it is estimated). `output_bytes` is only asked
        where the provider did not report its output."""
        if reported is not None and reported.output is not None:
            return reported, False
        return self.estimate(call, reported, output_bytes()), True

    def record(
        self,
        call: Call,
        target: Target,
        usage: TokenUsage,
        *,
        status: int,
        finish_reason: str = "",
        reason: str = "ok",
        is_estimated: bool = False,
        is_billable: bool = True,
        anomalies: int = 0,
    ) -> asyncio.Future[None]:
        """Hand the entry to the outbox and settle the hold. Synchronous: no cancellation can come between."""
        channel = target.channel.name
        if anomalies:
            self._metrics.usage_anomalies.labels(channel).inc(anomalies)
        if is_estimated:
            self._metrics.usage_estimated.labels(channel).inc()
        elapsed_us = int((time.monotonic() - call.started_at) * 1_000_000)
        call.attempts.append(Attempt(channel, 200, reason, elapsed_us, call.ttft_us))
        cost = call.resolution.rates.cost_nanousd(usage, call.modifiers) if is_billable else 0
        if call.ticket is not None:
            call.ticket.settle(usage.prompt_tokens() + (usage.output or 0), cost)
        if target.channel.limits.tpm is not None:
            self._channel_limits.used(channel, usage.prompt_tokens() + (usage.output or 0))
        entry = call.usage_entry(
            channel=channel,
            upstream_model=target.upstream_model,
            status=status,
            usage=usage,
            finish_reason=finish_reason,
            is_estimated=is_estimated,
            is_billable=is_billable,
            lease_boot=self._lease_boot,
        )
        return self._metering.record(entry, call.hold, cost)

    def note_losses(self, client: ClientConnection, call: Call, dropped: Sequence[str]) -> None:
        """Tell the client, and count, which hints the upstream's dialect has no words for."""
        client.extra_headers = [*call.served_headers]
        if dropped:
            client.extra_headers.append((b"x-lumen-dropped", ", ".join(dropped).encode()))
        for feature in dropped:
            self._metrics.translation_losses.labels(call.upstream_dialect.value, feature).inc()

    def record_refused(self, call: Call, status: int) -> None:
        """No provider answered: a row without usage, so that failures can be counted by whoever pays for them. The
        client does not wait for it."""
        last = call.attempts[-1]
        entry = call.usage_entry(
            channel=last.channel,
            upstream_model="",
            status=status,
            usage=NO_USAGE,
            finish_reason="",
            is_estimated=False,
            is_billable=False,
            lease_boot=self._lease_boot,
        )
        self._metering.record(entry, call.hold, 0)

    async def until_recorded(self, recorded: asyncio.Future[None]) -> None:
        """Raises ApiError 503 when the ledger takes too long: the client must not see the end of an unrecorded
        answer."""
        self._deadlines.watch(recorded)
        try:
            await recorded
        except NotInTime:
            raise ApiError(ErrorKind.OVERLOADED, "The answer could not be recorded in time.", retry_after_s=5) from None
