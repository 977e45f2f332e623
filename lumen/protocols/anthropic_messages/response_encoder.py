"""Canonical answer -> a Messages answer for a client. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.protocols import seals
from lumen.protocols.anthropic_messages.content_decoder import CALL_PREFIX, ISSUER
from lumen.protocols.anthropic_messages.content_encoder import own_extras
from lumen.protocols.anthropic_messages.finish import encode_finish
from lumen.protocols.anthropic_messages.usage_encoder import encode_usage
from lumen.protocols.arguments import arguments_object
from lumen.protocols.canonical.content import Block, Opaque, Reasoning, Refusal, Seal, Text, ToolCall
from lumen.protocols.canonical.response import Response
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import Dialect

_MESSAGE_PREFIX = "msg_"


def encode_response(response: Response, reply: Reply) -> bytes:
    blocks = [encode_block(block, reply) for block in response.blocks]
    message = {
        "id": message_id(response.response_id, reply),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [block for block in blocks if block is not None],
        **encode_finish(
            response.finish,
            response.raw_finish,
            response.stop_sequence,
            has_calls=any(isinstance(block, ToolCall) for block in response.blocks),
            has_refusal=any(isinstance(block, Refusal) for block in response.blocks),
        ),
        "usage": encode_usage(response.usage, response.service_tier),
    }
    return msgspec.json.encode(message)


def encode_block(block: Block, reply: Reply) -> dict[str, Any] | None:
    """None for one that has nothing to say here: the API takes no empty text back."""
    match block:
        case Text():
            citations = [own for citation in block.citations if (own := own_extras(citation.extras))]
            members = {"type": "text", "text": block.text, **({"citations": citations} if citations else {})}
            return members if block.text or citations else None
        case Refusal():
            return {"type": "text", "text": block.text} if block.text else None
        case Reasoning(is_redacted=True):
            return {"type": "redacted_thinking", "data": encode_seal(block.seal)} if block.seal else None
        case Reasoning():
            if not block.text and block.seal is None:
                return None
            return {"type": "thinking", "thinking": block.text, "signature": encode_seal(block.seal)}
        case ToolCall():
            return tool_use(block, reply) | {"input": arguments_object(block.arguments)}
        case Opaque(dialect=Dialect.ANTHROPIC_MESSAGES):
            return dict(block.raw)
    return None


def tool_use(call: ToolCall, reply: Reply) -> dict[str, Any]:
    """The block as it begins, without its arguments."""
    call_id = call.call_id or CALL_PREFIX + reply.new_id()
    return {
        "type": "tool_use",
        "id": seals.client_call_id(call_id, call.seal, CALL_PREFIX),
        "name": call.name,
        "input": {},
    }


def message_id(response_id: str | None, reply: Reply) -> str:
    """The upstream's, where it is one of this dialect."""
    if response_id is not None and response_id.startswith(_MESSAGE_PREFIX):
        return response_id
    return _MESSAGE_PREFIX + reply.new_id()


def encode_seal(seal: Seal | None) -> str:
    """A signature is a string to every client, and never invented."""
    return seals.wrap(seal, ISSUER) if seal else ""
