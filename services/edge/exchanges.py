"""What `Attempts` asks of a client's request while it tries one provider after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError
from services.edge.client_connection import ClientConnection
from services.edge.http_protocol import Headers
from services.edge.provider_workers.transport import UpstreamResponse


class UpstreamMessage(NamedTuple):
    """A request for a provider worker. `path` follows the channel's base URL."""

    dialect: Dialect
    path: bytes
    headers: Headers
    body: bytes


class AttemptFailed(Exception):
    """This target will not answer; nothing has reached the client. `error` is what it would be told."""

    def __init__(
        self, reason: str, error: ApiError, *, status: int = 0, is_account_fault: bool = False, may_retry: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.status = status  # the provider's; 0: it gave none
        self.is_account_fault = is_account_fault
        self.may_retry = may_retry


class Exchange(Protocol):
    """One per request. For each target: `request`, then for an answer whose head says 200 `receive` (which ends early
    when the client has gone and the channel does not drain), then `conclude`."""

    client: ClientConnection
    attempts: list[Attempt]  # those that failed, and the one that answered
    on_first_byte: Callable[[], None] | None  # what a stream calls when something of it has come; set per attempt

    def request(self, target: Target) -> UpstreamMessage:
        """Raises AttemptFailed when it cannot be put to this target, ApiError when the client is at fault."""
        ...

    async def receive(self, response: UpstreamResponse) -> None:
        """Read what counts. Raises UpstreamFailure and UpstreamProtocolError."""
        ...

    async def conclude(self, target: Target, response: UpstreamResponse | None, failure: Exception | None) -> str:
        """Record what was received and end the client's answer. Returns how it went, for metrics.

        `failure` is why `receive` ended early: UpstreamFailure, UpstreamProtocolError or Abandoned; with the last,
        `response` is None when not even its head had come. Raises AttemptFailed (nothing has been sent) and ApiError.
        """
        ...
