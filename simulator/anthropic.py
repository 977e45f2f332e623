"""Anthropic Messages. https://docs.claude.com/en/api/messages, .../build-with-claude/streaming"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from simulator.answer import REFUSAL_TEXT, Answer, argument_pieces, arguments_object
from simulator.dialect import Dialect, Target, encode_json, sse_frame
from simulator.prompt import InvalidPrompt, Prompt, count_words, last_user_text, positive_int
from simulator.script import Finish

_STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL: "tool_use",
    Finish.REFUSAL: "refusal",
    Finish.CONTENT_FILTER: "refusal",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_PING = sse_frame({"type": "ping"}, "ping")
_MESSAGE_STOP = sse_frame({"type": "message_stop"}, "message_stop")


class AnthropicMessages(Dialect):
    name: ClassVar[str] = "anthropic_messages"
    key_headers: ClassVar[tuple[str, ...]] = ("x-api-key", "authorization")

    def read(self, target: Target, headers: Mapping[str, str], body: dict[str, Any], digest: str) -> Prompt:
        if "anthropic-version" not in headers:
            raise InvalidPrompt("anthropic-version: header is required")
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise InvalidPrompt("model: Field required")
        if not isinstance(messages, list):
            raise InvalidPrompt("messages: Field required")
        if not messages:
            raise InvalidPrompt("messages: at least one message is required")
        output_cap = positive_int(body.get("max_tokens"))
        if output_cap is None and target.operation != "count_tokens":
            raise InvalidPrompt("max_tokens: Field required")
        return Prompt(
            model=model,
            digest=digest,
            words=count_words(body.get("system"), messages),
            last_user_text=last_user_text(messages),
            stream=body.get("stream") is True,
            output_cap=output_cap,
        )

    def encode(self, answer: Answer) -> bytes:
        message = {
            **_envelope(answer),
            "content": list(_blocks(answer)),
            **_ending(answer),
            "usage": _usage(answer),
        }
        if answer.script.usage == "none":
            del message["usage"]
        return encode_json(message)

    def encode_stream(self, answer: Answer) -> list[bytes]:
        usage = _usage(answer)
        start = {**_envelope(answer), "content": [], "stop_reason": None, "stop_sequence": None}
        delta: dict[str, Any] = {"type": "message_delta", "delta": _ending(answer)}
        if answer.script.usage != "none":
            start["usage"] = {**usage, "output_tokens": 1}
            delta["usage"] = {name: value for name, value in usage.items() if name in _DELTA_USAGE}
            if answer.script.usage == "start":
                delta["usage"] = {"output_tokens": answer.usage.output}
        frames = [_event("message_start", message=start)]
        for index, block in enumerate(_blocks(answer)):
            frames.append(_event("content_block_start", index=index, content_block=_opening(block)))
            if index == 0:
                frames.append(_PING)
            frames += [_event("content_block_delta", index=index, delta=delta_) for delta_ in _deltas(answer, block)]
            frames.append(_event("content_block_stop", index=index))
        frames.append(sse_frame(delta, "message_delta"))
        frames.append(_MESSAGE_STOP)
        return frames

    def encode_error(self, status: int, message: str, digest: str, param: str | None = None) -> bytes:
        return encode_json(_error(_ERROR_TYPES.get(status, "api_error"), message, digest))

    def encode_stream_error(self, answer: Answer, frames_sent: int) -> bytes:
        message = answer.script.message or "Overloaded"
        return sse_frame(_error("overloaded_error", message, answer.prompt.digest), "error")

    def headers(self, digest: str) -> list[tuple[str, str]]:
        return [
            ("request-id", _request_id(digest)),
            ("anthropic-organization-id", "5a0d4e1c-0000-4000-8000-simulated000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
        ]


_DELTA_USAGE = frozenset(
    {
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
        "output_tokens_details",
    }
)


def _event(kind: str, **members: Any) -> bytes:
    return sse_frame({"type": kind, **members}, kind)


def _request_id(digest: str) -> str:
    return f"req_{digest[:24]}"


def _error(kind: str, message: str, digest: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": _request_id(digest)}


def _envelope(answer: Answer) -> dict[str, Any]:
    return {"model": answer.model, "id": answer.id("msg_"), "type": "message", "role": "assistant"}


def _ending(answer: Answer) -> dict[str, Any]:
    ending: dict[str, Any] = {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None}
    if answer.finish in (Finish.REFUSAL, Finish.CONTENT_FILTER):
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": REFUSAL_TEXT}
    return ending


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    if answer.script.usage == "input_only":
        return {"input_tokens": usage.input}
    members = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
    }
    if answer.is_reasoned:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return members


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.is_reasoned:
        signature = f"sig_{answer.prompt.digest}"
        yield {"type": "thinking", "thinking": "".join(answer.thinking), "signature": signature}
    if answer.text or answer.refusal:
        yield {"type": "text", "text": "".join(answer.text) or answer.refusal}
    for call in answer.tool_calls:
        yield {
            "type": "tool_use",
            "id": answer.id("toolu_", call.suffix),
            "name": call.name,
            "input": arguments_object(call.arguments),
        }


def _opening(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_use":
        return {**block, "input": {}}
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _deltas(answer: Answer, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "thinking":
        for delta in answer.thinking:
            yield {"type": "thinking_delta", "thinking": delta}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for delta in answer.text or (answer.refusal,):
            yield {"type": "text_delta", "text": delta}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in argument_pieces(answer.script.args if block["input"] else ""):
            yield {"type": "input_json_delta", "partial_json": piece}
