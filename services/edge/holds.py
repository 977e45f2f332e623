"""How much an admitted request reserves, and the output cap that keeps a strict hold an upper bound.

`strict`: every token the body can contain, at the dearest price, and the output cap sent upstream; what bytes cannot
bound is refused. Where the account does not afford the cap that was asked for, a lower one is sent (`cap_within`), down
to what still makes an answer. `estimate`: what such requests typically cost; the difference is settled when usage is
known.

Server tools count only where a channel speaks the client's own dialect: translation leaves them out, so that Codex,
which always offers a web search, gets on with models that have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from lumen.catalog.resolve import Resolution
from lumen.money.prices import RateCard, Unpriced, UnpricedModifier
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.estimate import prompt_tokens_bound, prompt_tokens_typical
from lumen.protocols.peek import Peek

# What one answer's server tools typically run to; a hold only, the provider reports what it charges for.
_SERVER_TOOL_REQUESTS_TYPICAL = 5


# The least cap worth sending: OpenAI's Responses API refuses less, and fewer tokens are no answer.
_OUTPUT_TOKENS_MIN = 16


class _Thinking(msgspec.Struct):
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class _StrictTerms:
    """What a strict hold's price follows from; the rest is the output cap."""

    rates: RateCard
    prompt_tokens_max: int
    choices: int
    modifiers: Mapping[str, str]

    def hold_nanousd(self, cap: int) -> int:
        return self.rates.hold_nanousd(
            prompt_tokens_max=self.prompt_tokens_max,
            output_tokens_max=cap * self.choices,
            modifiers=self.modifiers,
        )


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """`output_cap` is None where the client's own stands. `least_nanousd`: the smallest hold that makes an answer; in
    estimate groups that is the amount itself."""

    amount_nanousd: int
    least_nanousd: int
    output_cap: int | None
    prompt_tokens_typical: int
    _strict: _StrictTerms | None = None

    def cap_within(self, held_nanousd: int) -> int | None:
        """The output cap to send when so much (at least the least) is held: its worst case never costs more."""
        if self._strict is None or self.output_cap is None or held_nanousd >= self.amount_nanousd:
            return self.output_cap
        terms = self._strict
        affordable = terms.rates.output_cap_for(
            held_nanousd, terms.prompt_tokens_max, terms.choices, modifiers=terms.modifiers
        )
        return min(self.output_cap, affordable)


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
    return HoldPlan(amount, amount, None, typical)


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
    terms = _StrictTerms(resolution.rates, prompt, peek.choices, peek.modifiers)
    least_cap = min(cap, _thinking_tokens(peek) + _OUTPUT_TOKENS_MIN)
    return HoldPlan(terms.hold_nanousd(cap), terms.hold_nanousd(least_cap), cap, typical, terms)


def _thinking_tokens(peek: Peek) -> int:
    """Anthropic's `thinking.budget_tokens`, which max_tokens must exceed; 0 where none is given (or it is no budget:
    the provider says what is wrong with it)."""
    raw = peek.fields.get("thinking")
    if raw is None:
        return 0
    try:
        return max(0, msgspec.json.decode(raw, type=_Thinking).budget_tokens or 0)
    except msgspec.DecodeError:
        return 0
