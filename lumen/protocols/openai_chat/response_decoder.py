"""Chat Completions answers -> canonical, and what all the relatives make of them.

https://platform.openai.com/docs/api-reference/chat/object. Thinking is in `reasoning_content` (DeepSeek, Kimi, GLM,
Qwen, MiniMax) or `reasoning` (vLLM, routers); `<think>` tags inside the content are content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Block, Reasoning, Refusal, Text, ToolCall, ToolKind
from lumen.protocols.canonical.response import Response
from lumen.protocols.openai_chat.citations import decode_annotations
from lumen.protocols.openai_chat.finish import decode_finish, is_failure
from lumen.protocols.openai_chat.tools_decoder import google_seal
from lumen.protocols.openai_chat.usage import decode_usage
from lumen.protocols.provider_values import answer_object, text_or_none
from lumen.protocols.stream_reader import UpstreamProtocolError


def decode_response(body: bytes, issuer: str) -> Response:
    """The first choice. Raises UpstreamProtocolError for what is no answer, and where the provider gave up on it.

    The wire itself says whose its seals are (`extra_content.google`), so `issuer` changes nothing.
    """
    members = answer_object(body)
    choice = _first_choice(members)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UpstreamProtocolError("the answer has no message")
    response_id = text_or_none(members.get("id"))
    blocks = _decode_message(message, response_id)
    usage, usage_anomalies = _decode_usage(members, choice)
    raw = text_or_none(choice.get("finish_reason")) or ""
    if is_failure(raw):
        raise UpstreamProtocolError(f"the answer was given up: {raw}")
    finish, anomalies = decode_finish(
        raw,
        has_calls=any(isinstance(block, ToolCall) for block in blocks),
        has_refusal=any(isinstance(block, Refusal) for block in blocks),
    )
    return Response(
        response_id,
        text_or_none(members.get("model")),
        tuple(blocks),
        finish,
        raw,
        usage=usage,
        service_tier=text_or_none(members.get("service_tier")),
        anomalies=anomalies + usage_anomalies,
    )


def _first_choice(members: Mapping[str, Any]) -> dict[str, Any]:
    choices = members.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise UpstreamProtocolError("the answer has no choices")
    return choices[0]


def _decode_message(message: Mapping[str, Any], response_id: str | None) -> list[Block]:
    blocks: list[Block] = []
    if reasoning := text_or_none(message.get("reasoning_content")) or text_or_none(message.get("reasoning")):
        blocks.append(Reasoning(reasoning))
    citations = decode_annotations(message.get("annotations"))
    text = content_text(message.get("content"))
    if text or citations:
        blocks.append(Text(text, citations))
    if refusal := text_or_none(message.get("refusal")):
        blocks.append(Refusal(refusal))
    calls = message.get("tool_calls")
    entries = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    function_call = message.get("function_call")
    if not entries and isinstance(function_call, dict):
        entries = [{"function": function_call}]
    ids = CallIds(response_id)
    return [*blocks, *(_decode_call(call, ids) for call in entries)]


def _decode_call(call: Mapping[str, Any], ids: CallIds) -> ToolCall:
    call_id = ids.claim(text_or_none(call.get("id")))
    custom = call.get("custom")
    if isinstance(custom, dict):
        return ToolCall(call_id, text_or_none(custom.get("name")) or "", as_text(custom.get("input")), ToolKind.CUSTOM)
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name = text_or_none(function.get("name")) or ""
    return ToolCall(call_id, name, as_text(function.get("arguments")), seal=google_seal(call))


class CallIds:
    """Gives every call of an answer an id of its own, for some providers send none or the same twice."""

    __slots__ = ("_response_id", "_taken")

    def __init__(self, response_id: str | None) -> None:
        self._response_id = response_id
        self._taken: set[str] = set()

    def claim(self, call_id: str | None) -> str:
        if not call_id or call_id in self._taken:
            call_id = f"{call_id or self._response_id or 'call'}-{len(self._taken)}"
        self._taken.add(call_id)
        return call_id


def _decode_usage(members: Mapping[str, Any], choice: Mapping[str, Any]) -> tuple[TokenUsage | None, int]:
    for holder in (members, choice):
        usage = holder.get("usage")
        if isinstance(usage, dict):
            reading = decode_usage(usage)
            return reading.usage, reading.anomalies
    return None, 0


def content_text(content: Any) -> str:
    """A string, or the texts of parts (Mistral and others); "" for null."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def as_text(arguments: Any) -> str:
    """Arguments as text; some relatives send the object itself, or null for none."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return arguments_text(arguments)
