"""How much an admitted request reserves, and the output cap that keeps a strict hold an upper bound.

`strict`: every token the body can contain, at the dearest price, and the output cap sent upstream; what bytes cannot
bound is refused. `estimate`: what such requests typically cost; the difference is settled when usage is known.

Server tools count only where a channel speaks the client's own dialect: translation leaves them out, so that Codex,
which always offers a web search, gets on with models that have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from lumen.catalog.resolve import Resolution
from lumen.money.prices import Unpriced, UnpricedModifier
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.estimate import prompt_tokens_bound, prompt_tokens_typical
from lumen.protocols.peek import Peek

# What one answer's server tools typically run to; a hold only, the provider reports what it charges for.
_SERVER_TOOL_REQUESTS_TYPICAL = 5


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """`output_cap` is None where the client's own stands."""

    amount_nanousd: int
    output_cap: int | None
    prompt_tokens_typical: int


def plan_hold(peek: Peek, body_bytes: int, resolution: Resolution) -> HoldPlan:
    """Raises ApiError 400 for what has no price and, in strict groups, for what has no bound."""
    if peek.server_tools and not any(peek.dialect in target.channel.dialects for target in resolution.targets):
        unbounded = tuple(name for name in peek.unbounded if name not in peek.server_tools)
        peek = replace(peek, server_tools=(), unbounded=unbounded)
    model = resolution.model
    attached = model.attachment_tokens
    typical = prompt_tokens_typical(peek, body_bytes, image_tokens_max=attached.image, file_tokens_max=attached.file)
    try:
        if resolution.group.hold == "strict":
            return _strict(peek, body_bytes, resolution, typical)
        expected = model.typical_output_tokens or model.max_output_tokens
        output = expected if peek.output_cap is None else min(peek.output_cap, expected)
        amount = resolution.rates.hold_nanousd(
            prompt_tokens_max=typical,
            output_tokens_max=output * peek.choices,
            server_tool_requests_max=_SERVER_TOOL_REQUESTS_TYPICAL if peek.server_tools else 0,
            modifiers=peek.modifiers,
        )
    except UnpricedModifier as error:
        raise ApiError(
            ErrorKind.INVALID_REQUEST, f"{error}.", param=error.dimension, code="unsupported_value"
        ) from error
    except Unpriced as error:
        raise ApiError(ErrorKind.INVALID_REQUEST, f"{error}.", param="tools", code="unsupported_value") from error
    return HoldPlan(amount, None, typical)


def _strict(peek: Peek, body_bytes: int, resolution: Resolution, typical: int) -> HoldPlan:
    if peek.unbounded:
        names = ", ".join(peek.unbounded)
        raise ApiError(
            ErrorKind.INVALID_REQUEST,
            f"Your group holds credits strictly and cannot bound the cost of: {names}.",
            param=peek.unbounded[0],
            code="unsupported_parameter",
        )
    model = resolution.model
    attached = model.attachment_tokens
    prompt = prompt_tokens_bound(peek, body_bytes, image_tokens_max=attached.image, file_tokens_max=attached.file)
    cap = model.max_output_tokens if peek.output_cap is None else min(peek.output_cap, model.max_output_tokens)
    amount = resolution.rates.hold_nanousd(
        prompt_tokens_max=prompt, output_tokens_max=cap * peek.choices, modifiers=peek.modifiers
    )
    return HoldPlan(amount, cap, typical)
