"""Requests, answers and streams in the shapes OpenAI's API and Codex use, and what the tests make of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Reply, StreamDecoder, StreamEncoder, Target
from lumen.protocols.openai_responses.request_decoder import decode_request
from lumen.protocols.openai_responses.request_encoder import encode_request
from lumen.protocols.openai_responses.stream_decoder import ResponsesStreamDecoder
from lumen.protocols.openai_responses.stream_encoder import ResponsesStreamEncoder
from tests.unit.protocols.frames import RESPONSES_USAGE, event

USAGE = {**RESPONSES_USAGE, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}}

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "encrypted_content": "gAAAA==",
}
ANNOTATION = {"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 5}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": [ANNOTATION], "logprobs": []}],
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "look",
    "arguments": '{"at":"sky"}',
}
CUSTOM_CALL = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_2",
    "name": "apply_patch",
    "input": "*** Begin",
}
SEARCH_CALL = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "sky"},
}
REFUSAL = {
    "id": "msg_2",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "refusal", "refusal": "I will not."}],
}

CODEX_REQUEST: dict[str, Any] = {
    "model": "gpt-x",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Patch it."}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAA=="},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking."}]},
        {
            "type": "function_call",
            "name": "read",
            "namespace": "files",
            "arguments": "{}",
            "call_id": "call_1",
        },
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin", "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_1", "output": "text of a"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "ok"}]},
    ],
    "tools": [
        {
            "type": "namespace",
            "name": "files",
            "description": "Files.",
            "tools": [
                {"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": False},
                {"type": "function", "name": "list", "parameters": {"type": "object"}, "defer_loading": True},
            ],
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Patches.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread-1",
    "client_metadata": {"originator": "codex_exec"},
    "text": {"verbosity": "low"},
}


def body(**members: Any) -> dict[str, Any]:
    return {"model": "gpt-x", "input": "Hi", **members}


def items(*given: dict[str, Any], **members: Any) -> dict[str, Any]:
    return body(input=list(given), **members)


def target(issuer: str = "openai", **members: Any) -> Target:
    return Target(**{"model": "up-x", "issuer": issuer, "is_stream": True, "max_output_tokens": 4096, **members})


def encoded(request: Request, to: Target | None = None) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode_request(request, to or target()))
    return decoded


def reply(request: Request | None = None) -> Reply:
    numbers = itertools.count()
    request = request or decode_request(body())
    return Reply(request, request.model, 1_790_000_000, lambda: f"{next(numbers):024x}")


def response(*output: dict[str, Any], status: str = "completed", **members: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-x-2026",
        "status": status,
        "error": None,
        "output": list(output),
        "usage": USAGE,
        "service_tier": "default",
        **members,
    }


CREATED = event("response.created", sequence_number=0, response=response(status="in_progress", usage=None))


_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}


def item_frames(output_index: int, item: dict[str, Any]) -> list[bytes]:
    """As OpenAI streams one item, its text in two deltas."""
    place = {"item_id": item["id"], "output_index": output_index}
    opening = {**item, **_EMPTY.get(item["type"], {}), "status": "in_progress"}
    opening.pop("encrypted_content", None)
    return [
        event("response.output_item.added", output_index=output_index, item=opening),
        *_part_frames(place, item),
        event("response.output_item.done", output_index=output_index, item=item),
    ]


def _part_frames(place: dict[str, Any], item: dict[str, Any]) -> Iterable[bytes]:
    match item["type"]:
        case "message":
            for i, part in enumerate(item["content"]):
                yield from _content_frames({**place, "content_index": i}, part)
        case "reasoning":
            for i, part in enumerate(item["summary"]):
                where = {**place, "summary_index": i}
                yield event("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
                yield from _deltas("response.reasoning_summary_text", where, part["text"], "text")
                yield event("response.reasoning_summary_part.done", **where, part=part)
        case "function_call":
            yield from _deltas("response.function_call_arguments", place, item["arguments"], "arguments")
        case "custom_tool_call":
            yield from _deltas("response.custom_tool_call_input", place, item["input"], "input")
        case "web_search_call":
            yield event("response.web_search_call.searching", **place)


def _content_frames(where: dict[str, Any], part: dict[str, Any]) -> Iterable[bytes]:
    is_refusal = part["type"] == "refusal"
    text = part["refusal"] if is_refusal else part["text"]
    yield event("response.content_part.added", **where, part={"type": part["type"]})
    kind = "response.refusal" if is_refusal else "response.output_text"
    yield from _deltas(kind, where, text, "refusal" if is_refusal else "text")
    for i, annotation in enumerate(part.get("annotations", ())):
        yield event("response.output_text.annotation.added", **where, annotation_index=i, annotation=annotation)
    yield event("response.content_part.done", **where, part=part)


def _deltas(kind: str, where: dict[str, Any], text: str, member: str) -> Iterable[bytes]:
    half = len(text) // 2
    yield event(f"{kind}.delta", **where, delta=text[:half], obfuscation="xyz")
    yield event(f"{kind}.delta", **where, delta=text[half:], obfuscation="x")
    yield event(f"{kind}.done", **where, **{member: text})


def terminal(*output: dict[str, Any], status: str = "completed", **members: Any) -> bytes:
    return event(f"response.{status}", response=response(*output, status=status, **members))


def stream(*output: dict[str, Any], **members: Any) -> list[bytes]:
    frames = [frame for i, item in enumerate(output) for frame in item_frames(i, item)]
    return [CREATED, *frames, terminal(*output, **members)]


FULL = (REASONING, SEARCH_CALL, MESSAGE, REFUSAL, CALL, CUSTOM_CALL)


def decode(reads: Iterable[bytes], **options: Any) -> list[Event]:
    decoder: StreamDecoder = ResponsesStreamDecoder(issuer="openai", **options)
    events = [event for read in reads for event in decoder.feed(read)]
    return events + decoder.close()


def encode(events: Iterable[Event], to: Reply | None = None) -> bytes:
    encoder: StreamEncoder = ResponsesStreamEncoder(to or reply())
    return b"".join(encoder.encode(event) for event in events) + encoder.close()
