"""Canonical -> a request for a Responses upstream. https://platform.openai.com/docs/api-reference/responses/create

Nothing is stored there: `store` is false, and reasoning comes back sealed so that the client can send it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lumen.protocols.canonical.request import FunctionTool, OpaqueTool, Request, Sampling, ToolChoiceMode
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.input_encoder import InputEncoder, identifier
from lumen.protocols.openai_responses.members import own_members
from lumen.protocols.openai_responses.options import encode_include, encode_reasoning, encode_text
from lumen.protocols.openai_responses.tools import encode_tool_choice, encode_tools

_OUTPUT_TOKENS_MIN = 16
_METADATA_MAX = 16
SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


def encode_request(request: Request, target: Target) -> bytes:
    """Raises Unsupported; what was left out is noted in `target`."""
    _refuse(request)
    _drop(request, target)
    encoder = InputEncoder(request, target)
    tools = encode_tools(request.tools, request.dialect)
    body: dict[str, Any] = {
        **own_members(request.extras),
        "model": target.model,
        "input": encoder.items(),
        "store": False,
        "stream": target.is_stream,
    }
    optional: dict[str, Any] = {
        "instructions": encoder.instructions(),
        "tools": tools or None,
        "tool_choice": _tool_choice(request, has_tools=bool(tools)),
        "parallel_tool_calls": request.parallel_tool_calls,
        "max_output_tokens": _output_cap(request, target),
        "temperature": _unless_default(request.sampling.temperature, request),
        "top_p": _unless_default(request.sampling.top_p, request),
        "top_logprobs": request.sampling.top_logprobs if request.dialect is Dialect.OPENAI_RESPONSES else None,
        "reasoning": None if request.thinking is None else encode_reasoning(request.thinking) or None,
        "include": encode_include(request) or None,
        "text": encode_text(request) or None,
        "prompt_cache_key": _identifier(request.prompt_cache_key),
        "safety_identifier": _safety_identifier(request),
        "metadata": request.metadata if _is_metadata(request.metadata) else None,
        "service_tier": request.service_tier if request.service_tier in SERVICE_TIERS else None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    return msgspec.json.encode(body)


def _refuse(request: Request) -> None:
    if request.sampling.choices > 1:
        raise Unsupported("choices", "This model gives one answer per request: 'n' must be 1.", "n")
    if request.sampling.stop:
        param = "stop_sequences" if request.dialect is Dialect.ANTHROPIC_MESSAGES else "stop"
        raise Unsupported("stop_sequences", f"Stop sequences ('{param}') are not supported with this model.", param)
    if "audio" in request.modalities:
        raise Unsupported("audio_output", "This model does not answer with audio.", "modalities")


def _drop(request: Request, target: Target) -> None:
    if request.dialect is not Dialect.OPENAI_RESPONSES:
        for feature in _lost_sampling(request.sampling):
            target.drop(feature)
    if request.service_tier is not None and request.service_tier not in SERVICE_TIERS:
        target.drop("service_tier")
    if request.metadata is not None and not _is_metadata(request.metadata):
        target.drop("metadata")
    if request.cache is not None or any(isinstance(tool, FunctionTool) and tool.cache for tool in request.tools):
        target.drop("cache_control")
    if any(isinstance(tool, OpaqueTool) and tool.dialect is not Dialect.OPENAI_RESPONSES for tool in request.tools):
        target.drop("server_tools")


def _lost_sampling(sampling: Sampling) -> list[str]:
    asked: Mapping[str, bool] = {
        "seed": sampling.seed is not None,
        "top_k": sampling.top_k is not None,
        "presence_penalty": bool(sampling.presence_penalty),
        "frequency_penalty": bool(sampling.frequency_penalty),
        "logit_bias": bool(sampling.logit_bias),
        "logprobs": bool(sampling.logprobs),
    }
    return [feature for feature, is_asked in asked.items() if is_asked]


def _tool_choice(request: Request, *, has_tools: bool) -> str | dict[str, Any] | None:
    """A choice among no tools is left out, unless one of those that were left out had to be called."""
    choice = request.tool_choice
    if choice is None:
        return None
    if has_tools or request.dialect is Dialect.OPENAI_RESPONSES:
        return encode_tool_choice(choice, request)
    if choice.mode in (ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED):
        raise Unsupported(
            "tool_choice", "The tools that must be called are not available with this model.", "tool_choice"
        )
    return None


def _output_cap(request: Request, target: Target) -> int | None:
    cap = target.cap(request.max_output_tokens)
    is_strict = target.output_cap is not None and target.output_cap < _OUTPUT_TOKENS_MIN
    return cap if cap is None or is_strict else max(cap, _OUTPUT_TOKENS_MIN)


def _safety_identifier(request: Request) -> str | None:
    is_said = request.user is None or request.user == own_members(request.extras).get("user")
    return None if is_said else _identifier(request.user)


def _identifier(text: str | None) -> str | None:
    return None if text is None else identifier(text)


def _unless_default(value: float | int | None, request: Request) -> float | int | None:
    """1 is the default of every dialect; models that reason refuse it when it is said."""
    return None if value == 1 and request.dialect is not Dialect.OPENAI_RESPONSES else value


def _is_metadata(metadata: Mapping[str, Any] | None) -> bool:
    if metadata is None:
        return False
    return len(metadata) <= _METADATA_MAX and all(isinstance(value, str) for value in metadata.values())
