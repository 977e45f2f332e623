"""OpenAI Responses. https://platform.openai.com/docs/api-reference/responses, .../responses-streaming"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from simulator.answer import CREATED_S, Answer, ToolCall, argument_pieces
from simulator.dialect import Dialect, Target, encode_json, sse_frame
from simulator.openai_errors import encode_openai_error, openai_headers, stream_error_members
from simulator.prompt import InvalidPrompt, Prompt, count_words, last_user_text, positive_int
from simulator.script import Finish

_INCOMPLETE_REASONS = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}

Event = dict[str, Any]
Item = dict[str, Any]


class OpenAIResponses(Dialect):
    name: ClassVar[str] = "openai_responses"
    key_headers: ClassVar[tuple[str, ...]] = ("authorization",)

    def read(self, target: Target, headers: Mapping[str, str], body: dict[str, Any], digest: str) -> Prompt:
        model, given = body.get("model"), body.get("input")
        if not isinstance(model, str) or not model:
            raise InvalidPrompt("Missing required parameter: 'model'.", "model")
        if not isinstance(given, str | list):
            raise InvalidPrompt("Missing required parameter: 'input'.", "input")
        options = body.get("stream_options") or {}
        tools = body.get("tools") or []
        return Prompt(
            model=model,
            digest=digest,
            words=count_words(body.get("instructions"), given),
            last_user_text=last_user_text(given),
            stream=body.get("stream") is True,
            output_cap=positive_int(body.get("max_output_tokens")),
            include_obfuscation=options.get("include_obfuscation") is not False,
            include_encrypted_reasoning="reasoning.encrypted_content" in (body.get("include") or []),
            custom_tools=frozenset(
                str(tool.get("name")) for tool in tools if isinstance(tool, dict) and tool.get("type") == "custom"
            ),
        )

    def encode(self, answer: Answer) -> bytes:
        return encode_json(_finished(answer, _items(answer)))

    def encode_stream(self, answer: Answer) -> list[bytes]:
        events: list[Event] = [
            {"type": "response.created", "response": _unfinished(answer)},
            {"type": "response.in_progress", "response": _unfinished(answer)},
        ]
        items = _items(answer)
        for output_index, item in enumerate(items):
            events += _item_events(answer, item, output_index)
        is_incomplete = answer.finish in _INCOMPLETE_REASONS
        kind = "response.incomplete" if is_incomplete else "response.completed"
        events.append({"type": kind, "response": _finished(answer, items)})
        return [
            sse_frame({"type": event["type"], "sequence_number": number, **event}, event["type"])
            for number, event in enumerate(events)
        ]

    def encode_error(self, status: int, message: str, digest: str, param: str | None = None) -> bytes:
        return encode_openai_error(status, message, param)

    def encode_stream_error(self, answer: Answer, frames_sent: int) -> bytes:
        error = stream_error_members(answer.script.message)
        event = {"type": "error", "sequence_number": frames_sent, **error}
        failed = {**_unfinished(answer), "status": "failed", "error": {k: error[k] for k in ("code", "message")}}
        failure = {"type": "response.failed", "sequence_number": frames_sent + 1, "response": failed}
        return sse_frame(event, "error") + sse_frame(failure, "response.failed")

    def headers(self, digest: str) -> list[tuple[str, str]]:
        return openai_headers(digest)


def _response(answer: Answer, **members: Any) -> dict[str, Any]:
    return {
        "id": answer.id("resp_"),
        "object": "response",
        "created_at": CREATED_S,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": answer.prompt.output_cap,
        "max_tool_calls": None,
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
        **members,
    }


def _unfinished(answer: Answer) -> dict[str, Any]:
    return _response(answer)


def _finished(answer: Answer, items: list[Item]) -> dict[str, Any]:
    reason = _INCOMPLETE_REASONS.get(answer.finish)
    return _response(
        answer,
        status="incomplete" if reason else "completed",
        completed_at=None if reason else CREATED_S + 1,
        incomplete_details={"reason": reason} if reason else None,
        output=items,
        usage=None if answer.script.usage == "none" else _usage(answer),
    )


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    if answer.script.usage == "input_only":
        return {"input_tokens": usage.prompt}
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }


def _items(answer: Answer) -> list[Item]:
    """The items of the finished output."""
    items: list[Item] = []
    if answer.is_reasoned:
        summary = [{"type": "summary_text", "text": "".join(answer.thinking)}] if answer.thinking else []
        reasoning: Item = {"id": answer.id("rs_"), "type": "reasoning", "summary": summary}
        if answer.prompt.include_encrypted_reasoning:
            reasoning["encrypted_content"] = f"gAAAA{answer.prompt.digest}"
        items.append(reasoning)
    if answer.text or answer.refusal:
        status = "incomplete" if answer.finish in _INCOMPLETE_REASONS else "completed"
        part = _refusal_part(answer.refusal) if answer.refusal else _text_part("".join(answer.text))
        items.append(
            {"id": answer.id("msg_"), "type": "message", "status": status, "role": "assistant", "content": [part]}
        )
    items += [_call_item(answer, call) for call in answer.tool_calls]
    return items


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def _call_item(answer: Answer, call: ToolCall) -> Item:
    call_id = answer.id("call_", call.suffix)
    if call.name in answer.prompt.custom_tools:
        return {
            "id": answer.id("ctc_", call.suffix),
            "type": "custom_tool_call",
            "status": "completed",
            "input": call.arguments,
            "call_id": call_id,
            "name": call.name,
        }
    return {
        "id": answer.id("fc_", call.suffix),
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments,
        "call_id": call_id,
        "name": call.name,
    }


def _item_events(answer: Answer, item: Item, output_index: int) -> Iterator[Event]:
    place = {"item_id": item["id"], "output_index": output_index}
    opening = {**item, **_OPENINGS[item["type"]]}
    yield {"type": "response.output_item.added", "output_index": output_index, "item": opening}
    match item["type"]:
        case "reasoning":
            yield from _summary_events(answer, item, place)
        case "message":
            yield from _content_events(answer, item, {**place, "content_index": 0})
        case "function_call":
            yield from _argument_events(answer, item["arguments"], "function_call_arguments", "arguments", place)
        case "custom_tool_call":
            yield from _argument_events(answer, item["input"], "custom_tool_call_input", "input", place)
    yield {"type": "response.output_item.done", "output_index": output_index, "item": item}


_OPENINGS: dict[str, Item] = {
    "reasoning": {"summary": []},
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "custom_tool_call": {"status": "in_progress", "input": ""},
}


def _summary_events(answer: Answer, item: Item, place: Event) -> Iterator[Event]:
    for summary_index, part in enumerate(item["summary"]):
        where = {**place, "summary_index": summary_index}
        yield {"type": "response.reasoning_summary_part.added", **where, "part": {"type": "summary_text", "text": ""}}
        for delta in answer.thinking:
            kind = "response.reasoning_summary_text.delta"
            yield {"type": kind, **where, "delta": delta, **_padding(answer, delta)}
        yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **where, "part": part}


def _content_events(answer: Answer, item: Item, where: Event) -> Iterator[Event]:
    (part,) = item["content"]
    empty = _refusal_part("") if answer.refusal else _text_part("")
    yield {"type": "response.content_part.added", **where, "part": empty}
    if answer.refusal:
        yield {"type": "response.refusal.delta", **where, "delta": answer.refusal, **_padding(answer, answer.refusal)}
        yield {"type": "response.refusal.done", **where, "refusal": answer.refusal}
    else:
        for delta in answer.text:
            kind = "response.output_text.delta"
            yield {"type": kind, **where, "delta": delta, "logprobs": [], **_padding(answer, delta)}
        yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": part}


def _argument_events(answer: Answer, arguments: str, kind: str, member: str, place: Event) -> Iterator[Event]:
    for piece in argument_pieces(arguments):
        yield {"type": f"response.{kind}.delta", **place, "delta": piece, **_padding(answer, piece)}
    yield {"type": f"response.{kind}.done", **place, member: arguments}


def _padding(answer: Answer, delta: str) -> Event:
    return {"obfuscation": answer.obfuscation(delta)} if answer.prompt.include_obfuscation else {}
