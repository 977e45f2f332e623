"""The response object around an answer: what its request said, how far it is, what it used.

A stream shows it three times, so what the request said is encoded once. Nothing is stored: `store` is false.
https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Reply
from lumen.protocols.openai_responses.members import own_members
from lumen.protocols.openai_responses.options import encode_reasoning, encode_text
from lumen.protocols.openai_responses.request_decoder import INSTRUCTIONS
from lumen.protocols.openai_responses.request_encoder import SERVICE_TIERS
from lumen.protocols.openai_responses.tools import encode_tool_choice, encode_tools

IN_PROGRESS = "in_progress"
_INCOMPLETE = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTEXT: "max_output_tokens",
    FinishReason.FILTERED: "content_filter",
}
# Members of a request that the object repeats as they came, and what it says without them.
_REPEATED: dict[str, Any] = {
    "max_tool_calls": None,
    "prompt_cache_retention": None,
    "truncation": "disabled",
    "user": None,
}


class ResponseObject:
    """One answer's, under one id."""

    def __init__(self, reply: Reply) -> None:
        self._identity = {
            "id": "resp_" + reply.new_id(),
            "object": "response",
            "created_at": reply.created_s,
            "model": reply.model,
        }
        self._said = msgspec.json.encode(_said(reply.request)).removeprefix(b"{")

    def encode(
        self,
        status: str,
        output: Sequence[Any] = (),
        *,
        incomplete_reason: str | None = None,
        usage: TokenUsage | None = None,
        service_tier: str | None = None,
    ) -> bytes:
        """JSON. `service_tier`: the one that served it, as the upstream calls it."""
        members = {
            **self._identity,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": incomplete_reason} if incomplete_reason else None,
            "output": output,
            "usage": None if usage is None else encode_usage(usage),
            "service_tier": service_tier if service_tier in SERVICE_TIERS else "default",
        }
        return msgspec.json.encode(members).removesuffix(b"}") + b"," + self._said


def incomplete_reason(finish: FinishReason, *, has_refusal: bool) -> str | None:
    """None: the answer is completed. A refusal in words is; one without them was broken off."""
    if finish is FinishReason.REFUSAL and not has_refusal:
        return "content_filter"
    return _INCOMPLETE.get(finish)


def encode_usage(usage: TokenUsage) -> dict[str, Any]:
    """Lumen's disjoint buckets -> OpenAI's totals, which include their details."""
    prompt = usage.prompt_tokens()
    output = (usage.output or 0) + (usage.audio_output or 0)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0),
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": prompt + output,
    }


def _said(request: Request) -> dict[str, Any]:
    extras = own_members(request.extras)
    sampling, choice = request.sampling, request.tool_choice
    reasoning = {} if request.thinking is None else encode_reasoning(request.thinking)
    return {
        "background": False,
        "instructions": _instructions(request),
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": None if request.user == extras.get("user") else request.user,
        "store": False,
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium", **encode_text(request)},
        "tool_choice": "auto" if choice is None else encode_tool_choice(choice, request),
        "tools": encode_tools(request.tools, request.dialect),
        "top_logprobs": sampling.top_logprobs or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        **{name: extras.get(name, default) for name, default in _REPEATED.items()},
    }


def _instructions(request: Request) -> str | None:
    """Those that stood in `instructions`, not the messages."""
    texts = (text for text in request.system if own_members(text.extras).get("role") == INSTRUCTIONS)
    return next((text.text for text in texts), None)
