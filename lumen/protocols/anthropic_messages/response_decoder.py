"""A provider's Messages answer -> canonical. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.anthropic_messages.content_decoder import decode_citation
from lumen.protocols.anthropic_messages.finish import decode_explanation, decode_finish
from lumen.protocols.anthropic_messages.usage import decode_usage
from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Block, Opaque, Reasoning, Refusal, Seal, Text, ToolCall
from lumen.protocols.canonical.response import Response
from lumen.protocols.dialects import Dialect
from lumen.protocols.provider_values import answer_object
from lumen.protocols.stream_reader import UpstreamProtocolError
from lumen.protocols.usage_counts import UsageReading


def decode_response(body: bytes, issuer: str) -> Response:
    """`issuer`: the vendor of the model, whose seals these are. Raises UpstreamProtocolError for no such answer."""
    message = answer_object(body)
    content = message.get("content")
    if not isinstance(content, list):
        raise UpstreamProtocolError("the answer has no content")
    decoded = [decode_block(block, issuer) for block in content]
    blocks: list[Block] = [block for block in decoded if block is not None]
    explanation = decode_explanation(message.get("stop_details"))
    if explanation:
        blocks.append(Refusal(explanation))
    raw = text_of(message, "stop_reason")
    usage = message.get("usage")
    reading = decode_usage(usage) if isinstance(usage, dict) else UsageReading(None, usage is not None)
    return Response(
        text_of(message, "id"),
        text_of(message, "model"),
        tuple(blocks),
        decode_finish(raw, has_calls=any(isinstance(block, ToolCall) for block in blocks)),
        raw or "",
        text_of(message, "stop_sequence"),
        reading.usage,
        text_of(usage, "service_tier"),
        reading.anomalies + (len(content) - sum(block is not None for block in decoded)) + (raw is None),
    )


def decode_block(block: Any, issuer: str) -> Block | None:
    """None for what is no block."""
    kind = text_of(block, "type")
    match kind:
        case None:
            return None
        case "text":
            return Text(text_of(block, "text") or "", _citations(block))
        case "thinking":
            return Reasoning(text_of(block, "thinking") or "", decode_seal(text_of(block, "signature"), issuer))
        case "redacted_thinking":
            return Reasoning("", decode_seal(text_of(block, "data"), issuer), is_redacted=True)
        case "tool_use":
            call_id, name = text_of(block, "id") or "", text_of(block, "name") or ""
            return ToolCall(call_id, name, arguments_text(block.get("input")))
        case _:
            return Opaque(Dialect.ANTHROPIC_MESSAGES, kind, block)


def decode_seal(value: str | None, issuer: str) -> Seal | None:
    return Seal(issuer, value) if value else None


def text_of(members: Any, name: str) -> str | None:
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, str) else None


def _citations(block: Mapping[str, Any]) -> tuple[Any, ...]:
    citations = block.get("citations")
    if not isinstance(citations, list):
        return ()
    return tuple(decode_citation(citation) for citation in citations if isinstance(citation, dict))
