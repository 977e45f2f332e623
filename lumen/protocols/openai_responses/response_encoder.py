"""Canonical -> a single answer for a Responses client."""

from __future__ import annotations

from lumen.protocols.canonical.content import Refusal
from lumen.protocols.canonical.response import Response
from lumen.protocols.codec import Reply
from lumen.protocols.openai_responses.output_encoder import COMPLETED, encode_output
from lumen.protocols.openai_responses.response_object import ResponseObject, incomplete_reason


def encode_response(response: Response, reply: Reply) -> bytes:
    """The JSON body of a 200."""
    has_refusal = any(isinstance(block, Refusal) for block in response.blocks)
    reason = incomplete_reason(response.finish, has_refusal=has_refusal)
    return ResponseObject(reply).encode(
        "incomplete" if reason else COMPLETED,
        encode_output(response.blocks, reply),
        incomplete_reason=reason,
        usage=response.usage,
        service_tier=response.service_tier,
    )
