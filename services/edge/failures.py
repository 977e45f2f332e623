"""What a failed attempt means, and which of several failures the client is told."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from lumen.protocols.errors import ApiError, ErrorKind, read_upstream_error
from lumen.protocols.retry_after import retry_after_s
from lumen.protocols.stream_reader import UpstreamStreamError
from services.edge.exchanges import AttemptFailed
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse, UpstreamTimeout
from services.edge.upstream_body import read_error_body

logger = logging.getLogger(__name__)

# Told with a 429 to which the provider gave no time: Codex gives up at once without one.
_RATE_LIMIT_WAIT_S = 2
_NEXT_STATUSES = frozenset({401, 402, 403, 404, 408, 409, 425, 429})


def transport_failure(error: UpstreamFailure) -> AttemptFailed:
    if isinstance(error, UpstreamTimeout):
        failed = AttemptFailed(
            error.reason, ApiError(ErrorKind.UPSTREAM_TIMEOUT, "The provider did not answer in time.")
        )
    else:
        failed = AttemptFailed(error.reason, ApiError(ErrorKind.UPSTREAM_FAILED, "The provider could not be reached."))
    failed.__cause__ = error
    return failed


def error_inside(error: UpstreamStreamError, reason: str) -> AttemptFailed:
    """The provider said 200, and then that it failed."""
    return AttemptFailed(reason, error.api_error(), status=200, is_account_fault=error.is_account_fault)


def unusable(failure: Exception | None, message: str) -> AttemptFailed:
    """An answer of which nothing has been sent on: it did not come whole, or `message`."""
    if isinstance(failure, UpstreamFailure):
        return transport_failure(failure)
    failed = AttemptFailed("protocol", ApiError(ErrorKind.UPSTREAM_FAILED, message))
    failed.__cause__ = failure
    return failed


async def refused(response: UpstreamResponse) -> AttemptFailed:
    """The provider's own refusal, with its status and retry-after."""
    body = await read_error_body(response)
    status = response.status
    fault = read_upstream_error(status if status >= 400 else 502, body)
    fault.error.retry_after_s = retry_after_s(response.headers, datetime.now(UTC))
    if fault.error.kind is ErrorKind.RATE_LIMIT and fault.error.retry_after_s is None:
        fault.error.retry_after_s = _RATE_LIMIT_WAIT_S
    if fault.is_account_fault:
        logger.error("provider refuses our account", extra={"status": status})
    may_retry = fault.is_account_fault or status in _NEXT_STATUSES or status >= 500 or status < 400
    return AttemptFailed(
        "account" if fault.is_account_fault else "status",
        fault.error,
        status=status,
        is_account_fault=fault.is_account_fault or status == 404,
        may_retry=may_retry,
    )


def inexpressible(error: ApiError) -> AttemptFailed:
    """The target's dialect cannot say what the client asked for; another target's may."""
    return AttemptFailed("unsupported", error, is_account_fault=True)


def more_telling(earlier: AttemptFailed | None, later: AttemptFailed) -> AttemptFailed:
    """The failure to tell the client: a provider's own status before a timeout before no connection before our
    account's trouble; of equals the later one."""
    if earlier is None or _rank(later) >= _rank(earlier):
        return later
    return earlier


def _rank(failed: AttemptFailed) -> int:
    if failed.is_account_fault:
        return 0
    if failed.status:
        return 3
    return 2 if failed.error.kind is ErrorKind.UPSTREAM_TIMEOUT else 1
