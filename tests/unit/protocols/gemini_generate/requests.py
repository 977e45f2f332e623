"""Canonical requests, and the body they become."""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.protocols.canonical.content import Block, ResultPart, Seal, Text, ToolCall, ToolResult
from lumen.protocols.canonical.request import Request, Role, Turn
from lumen.protocols.codec import LossAction, Target
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.losses import LOSSES
from lumen.protocols.gemini_generate.request_encoder import encode_request

GOOGLE = Seal("google", "c2ln")
CLAUDE = Seal("anthropic", "c2ln")


def request(*turns: Turn, **members: Any) -> Request:
    dialect = members.pop("dialect", Dialect.OPENAI_CHAT)
    return Request(dialect, "m", turns or (user(Text("Hi")),), **members)


def user(*blocks: Block, **members: Any) -> Turn:
    return Turn(Role.USER, blocks, **members)


def model(*blocks: Block) -> Turn:
    return Turn(Role.ASSISTANT, blocks)


def result(call_id: str, *parts: ResultPart | str, **members: Any) -> ToolResult:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return ToolResult(call_id, content, **members)


def call(call_id: str, name: str = "f", arguments: str = "{}", **members: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments, **members)


def target(model_name: str = "gemini-3-pro-preview", issuer: str = "google", output_cap: int | None = None) -> Target:
    return Target(model_name, issuer, is_stream=True, max_output_tokens=65536, output_cap=output_cap)


def encode(
    asked: Request, model_name: str = "gemini-3-pro-preview", **members: Any
) -> tuple[dict[str, Any], list[str]]:
    """(the body, what was dropped), every loss of which is declared."""
    to = target(model_name, **members)
    body = msgspec.json.decode(encode_request(asked, to))
    for feature in to.dropped:
        assert LOSSES[feature].action is LossAction.DROPPED, feature
    return body, to.dropped


def contents(*turns: Turn, model_name: str = "gemini-3-pro-preview") -> list[dict[str, Any]]:
    body, _ = encode(request(*turns), model_name)
    return list(body["contents"])
