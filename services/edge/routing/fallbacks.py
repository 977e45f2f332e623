"""Chains of models: when no target of the model asked for answers, the models its catalog entry names are tried.

Never silently: an answer of another model says so in `x-lumen-model`, and is charged as that model. So a request holds
what the dearest model of its chain could cost. A model that the key or its group may not use, or that cannot price what
is asked, is no part of the chain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lumen.catalog.resolve import Resolution
from lumen.protocols.errors import ApiError
from lumen.protocols.peek import Peek
from services.edge.holds import HoldPlan, plan_hold
from services.edge.key_cache import ApiKey
from services.edge.routing.selection import Selection

SERVED_MODEL_HEADER = b"x-lumen-model"


@dataclass(frozen=True, slots=True)
class Leg:
    """One model of a chain. `refusal`: why none of its targets can be chosen."""

    resolution: Resolution
    plan: HoldPlan
    selection: Selection | None
    refusal: ApiError | None = None


class Fallbacks:
    """`resolve`: as admission does for this key. `select`: of one resolution; raises ApiError."""

    def __init__(self, resolve: Callable[[ApiKey, str], Awaitable[Resolution]]) -> None:
        self._resolve = resolve

    async def legs(
        self, key: ApiKey, peek: Peek, body_bytes: int, first: Resolution, select: Callable[[Resolution], Selection]
    ) -> list[Leg]:
        """In the order to try them; a model whose targets all ail comes last, as a last resort. Raises ApiError when
        nothing is left, and what the request itself is refused for."""
        legs = [_leg(first, plan_hold(peek, body_bytes, first), select)]
        refusal = legs[0].refusal
        if refusal is not None and refusal.status < 500:
            raise refusal  # no failure of a provider's
        for code in first.model.fallbacks:
            try:
                resolution = await self._resolve(key, code)
                legs.append(_leg(resolution, plan_hold(peek, body_bytes, resolution), select))
            except ApiError:
                continue  # not for this key, or not for this request
        chosen = [leg for leg in legs if leg.selection is not None]
        if not chosen and refusal is not None:
            raise refusal
        chosen.sort(key=lambda leg: leg.selection is not None and leg.selection.is_last_resort)
        return chosen


def dearest(legs: list[Leg]) -> tuple[int, int]:
    """(what to hold, the least that makes an answer) in nano-USD, enough for whichever model of the chain answers."""
    return max(leg.plan.amount_nanousd for leg in legs), max(leg.plan.least_nanousd for leg in legs)


def _leg(resolution: Resolution, plan: HoldPlan, select: Callable[[Resolution], Selection]) -> Leg:
    try:
        return Leg(resolution, plan, select(resolution))
    except ApiError as error:
        return Leg(resolution, plan, None, error)
