"""Why a request got no hold.

LeaseError
|-- InsufficientCredits    402: the account is out of credits
|-- KeySpendLimitReached   402: the key's own limit is
`-- CreditsUnavailable     503: nobody can tell at the moment; fail closed
"""

from __future__ import annotations


class LeaseError(Exception):
    """Root; never raised itself."""


class InsufficientCredits(LeaseError):
    pass


class KeySpendLimitReached(LeaseError):
    pass


class CreditsUnavailable(LeaseError):
    pass


class BalancesNotLive(CreditsUnavailable):
    pass


def reason_of(error: LeaseError) -> str:
    """The metric's label."""
    match error:
        case InsufficientCredits():
            return "insufficient_credits"
        case KeySpendLimitReached():
            return "key_spend_limit_reached"
        case _:
            return "unavailable"
