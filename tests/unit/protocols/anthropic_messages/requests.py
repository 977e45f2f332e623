"""Requests as clients send them, and what an encoder makes of one."""

from __future__ import annotations

import json
from typing import Any

from lumen.protocols.anthropic_messages.losses import LOSSES
from lumen.protocols.anthropic_messages.request_decoder import decode_request
from lumen.protocols.anthropic_messages.request_encoder import encode_request
from lumen.protocols.canonical.content import Block, Text
from lumen.protocols.canonical.request import Request, Role, Turn
from lumen.protocols.codec import LossAction, Target
from lumen.protocols.dialects import Dialect

ADAPTIVE, BUDGETED, ALWAYS_THINKING, OTHER = "claude-opus-4-8", "claude-sonnet-4-5", "claude-opus-5-5", "deepseek-chat"


def body(**members: Any) -> dict[str, Any]:
    """A client's smallest request, and what the test is about."""
    return {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "Hi"}], **members}


def decode(**members: Any) -> Request:
    return decode_request(body(**members))


def decode_blocks(*blocks: dict[str, Any], role: str = "user") -> tuple[Block, ...]:
    return decode(messages=[{"role": role, "content": list(blocks)}]).turns[0].content


def decode_block(block: dict[str, Any]) -> Block:
    (decoded,) = decode_blocks(block)
    return decoded


def target(model: str = ADAPTIVE, **members: Any) -> Target:
    return Target(**{"model": model, "issuer": "anthropic", "is_stream": False, "max_output_tokens": 8000, **members})


def encode(request: Request, model: str = ADAPTIVE, *, dropped: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    """The body for the provider. `dropped`: exactly what is lost on the way."""
    to = target(model, **members)
    encoded: dict[str, Any] = json.loads(encode_request(request, to))
    assert tuple(to.dropped) == dropped
    assert all(LOSSES[name].action is LossAction.DROPPED for name in to.dropped)
    return encoded


def request(*turns: Turn, dialect: Dialect = Dialect.OPENAI_CHAT, **members: Any) -> Request:
    """One of another dialect's clients."""
    return Request(**{"dialect": dialect, "model": "m", "turns": turns or (user("Hi"),), **members})


def user(*blocks: Block | str) -> Turn:
    return _turn(Role.USER, blocks)


def assistant(*blocks: Block | str) -> Turn:
    return _turn(Role.ASSISTANT, blocks)


def system(*blocks: Block | str) -> Turn:
    return _turn(Role.SYSTEM, blocks)


def _turn(role: Role, blocks: tuple[Block | str, ...]) -> Turn:
    return Turn(role, tuple(Text(block) if isinstance(block, str) else block for block in blocks))
