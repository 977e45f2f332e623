"""Canonical answers -> Chat Completions. https://platform.openai.com/docs/api-reference/chat/object

Thinking goes to clients as `reasoning_content`, which is what they know from DeepSeek and its kin.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.protocols.arguments import unwrap_custom_input
from lumen.protocols.canonical.content import Reasoning, Refusal, Text, ToolCall, ToolKind
from lumen.protocols.canonical.request import Request
from lumen.protocols.canonical.response import Response
from lumen.protocols.codec import Reply
from lumen.protocols.openai_chat.citations import encode_annotation
from lumen.protocols.openai_chat.finish import encode_finish
from lumen.protocols.openai_chat.tools_decoder import CALL_PREFIX
from lumen.protocols.openai_chat.usage import encode_usage
from lumen.protocols.seals import client_call_id
from lumen.protocols.tool_names import original_name

# https://platform.openai.com/docs/api-reference/chat/object#chat-object-service_tier
_SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


def encode_response(response: Response, reply: Reply) -> bytes:
    """The whole JSON body."""
    message = _encode_message(response, reply.request)
    finish = encode_finish(
        response.finish,
        has_calls=bool(message.get("tool_calls") or message.get("function_call")),
        has_refusal=message["refusal"] is not None,
        is_legacy=reply.request.is_legacy_functions,
    )
    members: dict[str, Any] = {
        "id": f"chatcmpl-{reply.new_id()}",
        "object": "chat.completion",
        "created": reply.created_s,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        **service_tier_member(response.service_tier),
    }
    if response.usage is not None:
        members["usage"] = encode_usage(response.usage)
    return msgspec.json.encode(members)


def service_tier_member(service_tier: str | None) -> dict[str, str]:
    """Nothing for a tier of another vendor's, which OpenAI's clients would refuse."""
    return {"service_tier": service_tier} if service_tier in _SERVICE_TIERS and service_tier else {}


def _encode_message(response: Response, request: Request) -> dict[str, Any]:
    calls = [block for block in response.blocks if isinstance(block, ToolCall)]
    refusals = [block.text for block in response.blocks if isinstance(block, Refusal)]
    texts = [block for block in response.blocks if isinstance(block, Text)]
    reasoning = [block.text for block in response.blocks if isinstance(block, Reasoning) and block.text]
    text = "".join(block.text for block in texts)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (calls or refusals) else None,
        "refusal": "".join(refusals) or None,
        "annotations": _encode_citations(texts),
    }
    if reasoning:
        message["reasoning_content"] = "\n\n".join(reasoning)
    if calls and request.is_legacy_functions:
        _, name = original_name(request, calls[0].name)
        message["function_call"] = {"name": name, "arguments": calls[0].arguments or "{}"}
    elif calls:
        message["tool_calls"] = [_encode_call(call, request) for call in calls]
    return message


def _encode_citations(texts: list[Text]) -> list[dict[str, Any]]:
    annotations = []
    start = 0
    for text in texts:
        end = start + len(text.text)
        encoded = (encode_annotation(citation, start, end) for citation in text.citations)
        annotations += [annotation for annotation in encoded if annotation is not None]
        start = end
    return annotations


def _encode_call(call: ToolCall, request: Request) -> dict[str, Any]:
    call_id = client_call_id(call.call_id, call.seal, CALL_PREFIX)
    _, name = original_name(request, call.name)
    if call.kind is ToolKind.CUSTOM:
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    if request.tool_kind(name) is ToolKind.CUSTOM:
        text = unwrap_custom_input(call.arguments)
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": text}}
    function = {"name": name, "arguments": call.arguments or "{}"}
    return {"id": call_id, "type": "function", "function": function}
