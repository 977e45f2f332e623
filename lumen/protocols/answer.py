"""Single answers: what a response's JSON body says about usage, the finish and failure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from lumen.money.usage import TokenUsage
from lumen.protocols.anthropic_messages.usage import decode_usage as decode_anthropic_usage
from lumen.protocols.attachments import is_set, text_of
from lumen.protocols.common_answers import CommonAnswer, read_chat, read_message, read_response
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.usage import decode_usage as decode_gemini_usage
from lumen.protocols.openai_chat.usage import decode_usage as decode_chat_usage
from lumen.protocols.openai_responses.stream import finish_reason_of
from lumen.protocols.openai_responses.usage import decode_usage as decode_responses_usage
from lumen.protocols.provider_values import UNREADABLE
from lumen.protocols.stream_reader import UpstreamProtocolError, UpstreamStreamError
from lumen.protocols.upstream_errors import message_of
from lumen.protocols.usage_counts import UsageReading

_members = msgspec.json.Decoder(dict[str, Raw])


class _Choice(msgspec.Struct):
    finish_reason: Raw = Raw()
    usage: Raw = Raw()


class _Candidate(msgspec.Struct):
    finishReason: Raw = Raw()


_choices = msgspec.json.Decoder(list[_Choice])
_candidates = msgspec.json.Decoder(list[_Candidate])


@dataclass(frozen=True, slots=True)
class Answer:
    usage: TokenUsage | None
    finish_reason: str  # raw; "" when there is none
    anomalies: int
    is_error: bool  # an error in the body of a 200
    error: UpstreamStreamError | None = None
    response_id: str | None = None


def read_answer(dialect: Dialect, body: bytes) -> Answer:
    """Raises UpstreamProtocolError for what is no answer of this dialect, also `{}` and an empty `choices`: nobody
    pays for nothing. Its long members are skipped, not decoded."""
    common = _COMMON.get(dialect)
    if common is not None:
        try:
            found = common(body)
        except UNREADABLE:
            found = None
        if found is not None:
            usage, reason, response_id = found
            return Answer(usage, reason, 0, False, None, response_id)
    return _read_any(dialect, body)


def _read_any(dialect: Dialect, body: bytes) -> Answer:
    try:
        members = _members.decode(body)
    except UNREADABLE as error:
        raise UpstreamProtocolError(f"the answer is not a JSON object: {error}") from None
    try:
        return _READERS[dialect](members)
    except UNREADABLE as error:
        raise UpstreamProtocolError(f"the answer has an unexpected shape: {error}") from None


def answer_text_bytes(dialect: Dialect, body: bytes) -> int:
    """Bytes of generated text (JSON escapes included), for estimating when a provider reported no usage."""
    return sum(len(text) for text in _TEXT[dialect].findall(body))


def _read_chat(members: Mapping[str, Raw]) -> Answer:
    choices = _choices.decode(members["choices"]) if is_set(members.get("choices")) else []
    holders = [members.get("usage"), *(choice.usage for choice in choices)]
    reading = _usage_of(next((raw for raw in holders if is_set(raw)), None), decode_chat_usage)
    reason = next((text_of(choice.finish_reason) or "" for choice in choices), "")
    return _answer(members, reading, reason, is_error=is_set(members.get("error")), is_empty=not choices)


def _read_responses(members: Mapping[str, Raw]) -> Answer:
    reading = _usage_of(members.get("usage"), decode_responses_usage)
    ending = {name: _value(members.get(name)) for name in ("status", "incomplete_details")}
    is_error = ending["status"] == "failed" or is_set(members.get("error"))
    is_empty = not (is_set(members.get("output")) or is_set(members.get("status")))
    return _answer(members, reading, finish_reason_of(ending), is_error=is_error, is_empty=is_empty)


def _read_anthropic(members: Mapping[str, Raw]) -> Answer:
    reading = _usage_of(members.get("usage"), decode_anthropic_usage)
    is_error = text_of(members.get("type")) == "error" or is_set(members.get("error"))
    is_empty = not (is_set(members.get("content")) or is_set(members.get("stop_reason")))
    return _answer(members, reading, text_of(members.get("stop_reason")) or "", is_error=is_error, is_empty=is_empty)


def _read_gemini(members: Mapping[str, Raw]) -> Answer:
    reading = _usage_of(members.get("usageMetadata"), decode_gemini_usage)
    candidates = _candidates.decode(members["candidates"]) if is_set(members.get("candidates")) else []
    reason = next((text_of(candidate.finishReason) or "" for candidate in candidates), "")
    if not reason and isinstance(feedback := _value(members.get("promptFeedback")), dict):
        reason = str(feedback.get("blockReason") or "")
    is_error, is_empty = is_set(members.get("error")), not (candidates or reason)
    return _answer(members, reading, reason, is_error=is_error, is_empty=is_empty, identifier="responseId")


def _answer(
    members: Mapping[str, Raw],
    reading: UsageReading,
    reason: str,
    *,
    is_error: bool,
    is_empty: bool,
    identifier: str = "id",
) -> Answer:
    if is_empty and not is_error:
        raise UpstreamProtocolError("the answer is empty")
    error = UpstreamStreamError(message_of({"error": _value(members.get("error"))})) if is_error else None
    return Answer(reading.usage, reason, reading.anomalies, is_error, error, text_of(members.get(identifier)))


def _usage_of(raw: Raw | None, decode: Callable[[Mapping[str, Any]], UsageReading]) -> UsageReading:
    members = _value(raw)
    if isinstance(members, dict):
        return decode(members)
    return UsageReading(None, int(members is not None))


def _value(raw: Raw | None) -> Any:
    return msgspec.json.decode(raw) if is_set(raw) else None


_READERS: Mapping[Dialect, Callable[[Mapping[str, Raw]], Answer]] = {
    Dialect.OPENAI_CHAT: _read_chat,
    Dialect.OPENAI_RESPONSES: _read_responses,
    Dialect.ANTHROPIC_MESSAGES: _read_anthropic,
    Dialect.GEMINI_GENERATE: _read_gemini,
}

_COMMON: Mapping[Dialect, Callable[[bytes], CommonAnswer | None]] = {
    Dialect.OPENAI_CHAT: read_chat,
    Dialect.OPENAI_RESPONSES: read_response,
    Dialect.ANTHROPIC_MESSAGES: read_message,
}

_TEXT: Mapping[Dialect, re.Pattern[bytes]] = {
    dialect: re.compile(rb'"(?:' + names + rb')"\s*:\s*"((?:[^"\\]|\\.)*)"')
    for dialect, names in (
        (Dialect.OPENAI_CHAT, b"content|reasoning_content|reasoning|refusal|arguments"),
        (Dialect.OPENAI_RESPONSES, b"text|refusal|arguments|input"),
        (Dialect.ANTHROPIC_MESSAGES, b"text|thinking"),
        (Dialect.GEMINI_GENERATE, b"text"),
    )
}
