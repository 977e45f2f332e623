"""Answers of providers, streamed and single, and what each client gets of them.

`answers/<upstream>/<behaviour>.json` holds one answer twice: the payloads of its stream, and the single body.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.request import CustomTool, FunctionTool, Request
from lumen.protocols.canonical.response import Response
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.translating_tap import TranslatingTap
from lumen.protocols.translation import decode_answer, encode_answer, stream_decoder, stream_encoder
from tests.unit.protocols.frames import payloads
from tests.unit.protocols.grammar import assert_grammatical

HERE = Path(__file__).parent
ANSWERS = HERE / "answers"
GOLDEN = HERE / "golden" / "answers"
CLIENTS = list(CLIENT_DIALECTS.values())
ISSUERS = {
    Dialect.OPENAI_CHAT: "openai",
    Dialect.OPENAI_RESPONSES: "openai",
    Dialect.ANTHROPIC_MESSAGES: "anthropic",
    Dialect.GEMINI_GENERATE: "google",
}
FRAME_BYTES_MAX = 1 << 20

TOOLS = (
    FunctionTool("get_weather"),
    FunctionTool("get_time"),
    CustomTool("apply_patch"),
    FunctionTool("read", namespace="files"),
)


def answer_cases() -> list[tuple[Dialect, str]]:
    """(upstream, behaviour)"""
    return [(upstream, path.stem) for upstream in Dialect for path in sorted((ANSWERS / upstream.value).glob("*.json"))]


def case(upstream: Dialect, behaviour: str) -> Any:
    return json.loads((ANSWERS / upstream.value / f"{behaviour}.json").read_text())


def frame(upstream: Dialect, payload: Any) -> bytes:
    data = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    event = f"event: {payload['type']}\n" if upstream in _NAMED_EVENTS else ""
    line_end = "\r\n" if upstream is Dialect.GEMINI_GENERATE else "\n"
    return f"{event}data: {data}{line_end}{line_end}".encode()


_NAMED_EVENTS = (Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_RESPONSES)


def stream(upstream: Dialect, behaviour: str) -> list[bytes]:
    """The frames as they are read from the network."""
    return [frame(upstream, payload) for payload in case(upstream, behaviour)["stream"]]


def single(upstream: Dialect, behaviour: str) -> bytes:
    return json.dumps(case(upstream, behaviour)["single"], ensure_ascii=False).encode()


def events_of(dialect: Dialect, reads: list[bytes]) -> list[Event]:
    decoder = stream_decoder(dialect, issuer=ISSUERS[dialect], frame_bytes_max=FRAME_BYTES_MAX)
    events = [event for data in reads for event in decoder.feed(data)]
    events += decoder.close()
    assert_grammatical(events)
    return events


def reply(client: Dialect) -> Reply:
    numbers = count(1)
    request = Request(client, "lumen-model", (), tools=TOOLS)
    return Reply(request, "lumen-model", 1_790_000_000, lambda: f"{next(numbers):024x}")


def tap(upstream: Dialect, client: Dialect) -> TranslatingTap:
    decoder = stream_decoder(upstream, issuer=ISSUERS[upstream], frame_bytes_max=FRAME_BYTES_MAX)
    return TranslatingTap(decoder, stream_encoder(client, reply(client)))


def run(upstream: Dialect, client: Dialect, reads: list[bytes]) -> tuple[TranslatingTap, bytes]:
    """(the closed tap, what it let out)"""
    translating = tap(upstream, client)
    relayed = b"".join(translating.feed(read) for read in reads)
    translating.close()
    return translating, relayed


def client_stream(upstream: Dialect, behaviour: str, client: Dialect) -> bytes:
    translating, relayed = run(upstream, client, stream(upstream, behaviour))
    assert translating.is_complete
    return relayed + translating.held


def client_single(upstream: Dialect, behaviour: str, client: Dialect) -> tuple[Response, bytes]:
    response = decode_answer(upstream, single(upstream, behaviour), ISSUERS[upstream])
    return response, encode_answer(client, response, reply(client))


def golden_path(upstream: Dialect, behaviour: str, client: Dialect) -> Path:
    return GOLDEN / upstream.value / f"{behaviour}.{client.value}.json"


def outcome(upstream: Dialect, behaviour: str, client: Dialect) -> dict[str, Any]:
    _, body = client_single(upstream, behaviour, client)
    return {"single": json.loads(body), "stream": payloads(client_stream(upstream, behaviour, client))}


def write() -> None:
    for upstream, behaviour in answer_cases():
        for client in CLIENTS:
            if client is upstream:
                continue
            path = golden_path(upstream, behaviour, client)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(outcome(upstream, behaviour, client), indent=1, ensure_ascii=False) + "\n")
