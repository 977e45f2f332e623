"""Requests, targets and replies for the tests of this dialect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from typing import Any

from lumen.protocols.canonical.content import Block, Text
from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.request import Request, Role, Turn
from lumen.protocols.codec import LossAction, Reply, Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.losses import LOSSES
from lumen.protocols.openai_chat.request_decoder import decode_request
from lumen.protocols.openai_chat.request_encoder import encode_request
from lumen.protocols.openai_chat.stream_decoder import OpenAIChatStreamDecoder
from lumen.protocols.openai_chat.stream_encoder import OpenAIChatStreamEncoder

USER = {"role": "user", "content": "hi"}
USER_TURN = Turn(Role.USER, (Text("hi"),))


def body(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [USER], **members}


def decoded(*messages: dict[str, Any], **members: Any) -> Request:
    return decode_request(body(*messages, **members))


def request(*turns: Turn, dialect: Dialect = Dialect.ANTHROPIC_MESSAGES, **members: Any) -> Request:
    """A request of another dialect's client, unless it says otherwise."""
    return Request(dialect, "m", turns or (USER_TURN,), **members)


def user(*blocks: Block) -> Turn:
    return Turn(Role.USER, blocks)


def assistant(*blocks: Block) -> Turn:
    return Turn(Role.ASSISTANT, blocks)


def target(issuer: str = "openai", *, is_stream: bool = False, output_cap: int | None = None) -> Target:
    return Target("upstream-model", issuer, is_stream, 8192, output_cap)


def encoded(request: Request, to: Target | str = "openai") -> dict[str, Any]:
    """The body; every loss has to be a declared one."""
    to = target(to) if isinstance(to, str) else to
    try:
        said = encode_request(request, to)
    except Unsupported as refusal:
        if LOSSES[refusal.feature].action is LossAction.REFUSED:
            raise
        raise AssertionError(f"{refusal.feature} is no declared refusal") from refusal
    assert all(LOSSES[feature].action is LossAction.DROPPED for feature in to.dropped)
    body: dict[str, Any] = json.loads(said)
    return body


def messages(request: Request, to: Target | str = "openai") -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = encoded(request, to)["messages"]
    return said


def reply(asked: Request | None = None, *, include_usage: bool = True) -> Reply:
    ids = count(1)
    return Reply(asked or decoded(), "client-model", 1_790_000_000, lambda: f"{next(ids):024x}", include_usage)


def decode_stream(reads: Iterable[bytes], issuer: str = "openai") -> list[Event]:
    decoder = OpenAIChatStreamDecoder(issuer=issuer)
    events = [event for read in reads for event in decoder.feed(read)]
    return events + decoder.close()


def encode_stream(events: Iterable[Event], to: Reply | None = None) -> list[bytes]:
    """Frames, `[DONE]` among them."""
    encoder = OpenAIChatStreamEncoder(to or reply())
    return [frame for frame in (*(encoder.encode(event) for event in events), encoder.close()) if frame]
