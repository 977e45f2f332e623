"""One admitted request on its way through the edge."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lumen.catalog.resolve import Resolution
from lumen.ledger.entries import Attempt, UsageEntry
from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.peek import Peek
from services.edge.http_protocol import Headers
from services.edge.key_cache import ApiKey

if TYPE_CHECKING:
    from services.edge.limits.limiter import Ticket
    from services.edge.metering.lease_book import Hold


@dataclass(slots=True)
class Call:
    request_id: str
    dialect: Dialect
    headers: Headers
    query: bytes
    body: bytes
    peek: Peek
    key: ApiKey
    resolution: Resolution
    is_stream: bool
    hold: Hold
    output_cap: int | None  # set when a strict hold lowers what the client asked for
    prompt_tokens_typical: int
    started_at: float  # monotonic
    started_at_us: int  # Unix
    # Of the target being tried: what translation left out changes no price.
    upstream_dialect: Dialect
    modifiers: Mapping[str, str]
    ticket: Ticket | None = None  # of a key with limits
    attempts: list[Attempt] = field(default_factory=list)
    ttft_us: int = 0
    served_headers: Headers = field(default_factory=list)  # of an answer by another model than asked for
    traceparent: str = ""  # of a request whose trace is sampled

    def elapsed_us(self) -> int:
        return int((time.monotonic() - self.started_at) * 1_000_000)

    def usage_entry(
        self,
        *,
        channel: str,
        upstream_model: str,
        status: int,
        usage: TokenUsage,
        finish_reason: str,
        is_estimated: bool,
        is_billable: bool,
        lease_boot: int,
    ) -> UsageEntry:
        key = self.key
        return UsageEntry(
            request_id=self.request_id,
            account=key.account_id,
            key_id=key.key_id,
            group=self.resolution.group.name,
            model=self.resolution.model.code,
            channel=channel,
            upstream_model=upstream_model,
            client_dialect=self.dialect,
            upstream_dialect=self.upstream_dialect,
            catalog_revision=self.resolution.revision,
            started_at_us=self.started_at_us,
            duration_us=self.elapsed_us(),
            ttft_us=self.ttft_us,
            status=status,
            is_stream=self.is_stream,
            finish_reason=finish_reason,
            usage=usage,
            is_estimated=is_estimated,
            is_billable=is_billable,
            hold_nanousd=self.hold.amount_nanousd,
            lease_boot=lease_boot,
            key_has_spend_limit=key.spend_limit_nanousd > 0,
            modifiers=dict(self.modifiers),
            attempts=self.attempts,
            traceparent=self.traceparent,
        )
