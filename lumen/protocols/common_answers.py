"""The shape nearly every single answer has, read in one pass: a third of the time of `answer`'s general readers, which
take over for all that is unusual and decide what it means.

A reader here gives the general one's result or None, never another result (`tests/unit/protocols/test_answer.py` holds
them side by side on generated answers).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Raw

from lumen.money.usage import TokenUsage
from lumen.protocols.attachments import is_set
from lumen.protocols.usage_counts import COUNT_MAX

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)] | None

# (usage, raw finish reason, id)
CommonAnswer = tuple[TokenUsage, str, str | None]


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class _ChatUsage(msgspec.Struct, gc=False):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Any = None
    cached_tokens: Any = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    usage: Any = None


class _Chat(msgspec.Struct, gc=False):
    id: str | None = None
    choices: list[_Choice] = []
    usage: _ChatUsage | None = None
    error: Raw = Raw()


class _ResponsesUsage(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    total_tokens: Count = None
    input_tokens_details: _PromptDetails | None = None
    output_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Any = None
    cached_tokens: Any = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: _ResponsesUsage | None = None
    error: Raw = Raw()


class _Lifetimes(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: Count = None


class _Tools(msgspec.Struct, gc=False):
    web_search_requests: Count = None


class _AnthropicUsage(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _Lifetimes | None = None
    output_tokens_details: _Details | None = None
    server_tool_use: _Tools | None = None
    iterations: Any = None


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    type: str | None = None
    stop_reason: str | None = None
    usage: _AnthropicUsage | None = None
    error: Raw = Raw()


_chat = msgspec.json.Decoder(_Chat)
_response = msgspec.json.Decoder(_Response)
_message = msgspec.json.Decoder(_Message)

_NO_PROMPT_DETAILS = _PromptDetails()
_NO_COMPLETION_DETAILS = _CompletionDetails()
_NO_LIFETIMES = _Lifetimes()


def read_chat(body: bytes) -> CommonAnswer | None:
    """Raises msgspec.DecodeError, which includes all that has another type than usual."""
    answer = _chat.decode(body)
    usage = answer.usage
    if usage is None or not answer.choices or is_set(answer.error):
        return None
    for choice in answer.choices:
        if choice.usage is not None:
            return None
    if usage.prompt_cache_hit_tokens is not None or usage.cached_tokens is not None:
        return None
    tokens = _inclusive(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.prompt_tokens_details or _NO_PROMPT_DETAILS,
        usage.completion_tokens_details or _NO_COMPLETION_DETAILS,
    )
    return None if tokens is None else (tokens, answer.choices[0].finish_reason or "", answer.id)


def read_response(body: bytes) -> CommonAnswer | None:
    """Raises msgspec.DecodeError."""
    answer = _response.decode(body)
    usage = answer.usage
    if usage is None or not answer.status or answer.status == "failed" or is_set(answer.error):
        return None
    if usage.prompt_cache_hit_tokens is not None or usage.cached_tokens is not None:
        return None
    tokens = _inclusive(
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.input_tokens_details or _NO_PROMPT_DETAILS,
        usage.output_tokens_details or _NO_COMPLETION_DETAILS,
    )
    if tokens is None:
        return None
    details = answer.incomplete_details
    reason = answer.status if details is None or details.reason is None else details.reason
    return tokens, reason, answer.id


def read_message(body: bytes) -> CommonAnswer | None:
    """Raises msgspec.DecodeError."""
    answer = _message.decode(body)
    usage = answer.usage
    if usage is None or not answer.stop_reason or answer.type == "error" or is_set(answer.error):
        return None
    if usage.iterations is not None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    lifetimes = usage.cache_creation or _NO_LIFETIMES
    write_5m, write_1h = lifetimes.ephemeral_5m_input_tokens, lifetimes.ephemeral_1h_input_tokens
    written = usage.cache_creation_input_tokens
    if written is not None:
        if write_5m is None:
            if write_1h is not None:
                return None
            write_5m = written
        elif written != write_5m + (write_1h or 0):
            return None
    tokens = TokenUsage(
        input=usage.input_tokens,
        cache_read=usage.cache_read_input_tokens,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        output=usage.output_tokens,
        reasoning=None if usage.output_tokens_details is None else usage.output_tokens_details.thinking_tokens,
        server_tool_requests=None if usage.server_tool_use is None else usage.server_tool_use.web_search_requests,
    )
    return tokens, answer.stop_reason, answer.id


def _inclusive(
    prompt: int | None,
    completion: int | None,
    total: int | None,
    prompt_details: _PromptDetails,
    completion_details: _CompletionDetails,
) -> TokenUsage | None:
    """`usage_counts.decode_inclusive_usage` where nothing has to be split, clamped or explained."""
    if prompt is None or completion is None or (total is not None and total > prompt + completion):
        return None
    cached, written = prompt_details.cached_tokens, prompt_details.cache_write_tokens
    audio_input, image_input = prompt_details.audio_tokens, prompt_details.image_tokens
    audio_output = completion_details.audio_tokens
    uncached = prompt - (cached or 0) - (written or 0)
    if uncached < 0 or audio_input or image_input or audio_output:
        return None
    return TokenUsage(
        uncached,
        cached,
        written,
        None,
        completion,
        completion_details.reasoning_tokens,
        audio_input,
        audio_output,
        image_input,
    )
