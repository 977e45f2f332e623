"""OpenAI Chat Completions, with the habits of its relatives (`reasoning_content`, usage in odd places) on request.

https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com/guides/reasoning_model
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, ClassVar

from simulator.answer import CREATED_S, Answer, argument_pieces
from simulator.dialect import Dialect, Target, encode_json, sse_frame
from simulator.openai_errors import encode_openai_error, openai_headers, stream_error_members
from simulator.prompt import InvalidPrompt, Prompt, count_words, last_user_text, positive_int
from simulator.script import Finish

_FINISH_REASONS = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL: "tool_calls",
    Finish.REFUSAL: "stop",
    Finish.CONTENT_FILTER: "content_filter",
}
_DONE = b"data: [DONE]\n\n"
_CHOICES_MAX = 128


class OpenAIChat(Dialect):
    name: ClassVar[str] = "openai_chat"
    key_headers: ClassVar[tuple[str, ...]] = ("authorization",)

    def read(self, target: Target, headers: Mapping[str, str], body: dict[str, Any], digest: str) -> Prompt:
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise InvalidPrompt("you must provide a model parameter")
        if not isinstance(messages, list):
            raise InvalidPrompt("Missing required parameter: 'messages'.", "messages")
        if not messages:
            raise InvalidPrompt("Invalid 'messages': empty array.", "messages")
        choices = body.get("n") if body.get("n") is not None else 1
        if not isinstance(choices, int) or not 1 <= choices <= _CHOICES_MAX:
            raise InvalidPrompt(f"Invalid 'n': expected an integer from 1 to {_CHOICES_MAX}.", "n")
        options = body.get("stream_options") or {}
        if options and body.get("stream") is not True:
            raise InvalidPrompt("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        cap = body.get("max_completion_tokens")
        return Prompt(
            model=model,
            digest=digest,
            words=count_words(messages),
            last_user_text=last_user_text(messages),
            stream=body.get("stream") is True,
            output_cap=positive_int(body.get("max_tokens") if cap is None else cap),
            choices=choices,
            include_usage=options.get("include_usage") is True,
            include_obfuscation=options.get("include_obfuscation") is not False,
        )

    def encode(self, answer: Answer) -> bytes:
        finish = _FINISH_REASONS[answer.finish]
        choices = [
            {"index": index, "message": _message(answer), "logprobs": None, "finish_reason": finish}
            for index in range(answer.prompt.choices)
        ]
        completion = {**_envelope(answer, "chat.completion"), "choices": choices, "usage": _usage(answer)}
        if answer.script.usage == "none":
            del completion["usage"]
        return encode_json(completion)

    def encode_stream(self, answer: Answer) -> list[bytes]:
        envelope = _envelope(answer, "chat.completion.chunk")
        where, prompt = answer.script.usage, answer.prompt
        usage = _usage(answer)
        # OpenAI says `usage: null` on every chunk but the last when usage was asked for.
        null: dict[str, Any] = {"usage": None} if prompt.include_usage and where != "none" else {}
        riding = {"usage": usage} if where == "every" else null
        frames: list[bytes] = []
        for delta in _deltas(answer):
            padding = _padding(answer, delta)
            for index in range(prompt.choices):
                choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
                frames.append(sse_frame({**envelope, "choices": [choice], **riding, **padding}))
        alone = sse_frame({**envelope, "choices": [], "usage": usage})
        if where == "before_finish":
            frames.append(alone)
        for index in range(prompt.choices):
            last = {"index": index, "delta": {}, "logprobs": None, "finish_reason": _FINISH_REASONS[answer.finish]}
            if where == "inside_choice":
                last["usage"] = usage
            on_finish = {"usage": usage} if where == "finish" else riding
            frames.append(sse_frame({**envelope, "choices": [last], **on_finish}))
        if where in ("default", "input_only") and prompt.include_usage:
            frames.append(alone)
        if not answer.script.no_done:
            frames.append(_DONE)
        return frames

    def encode_error(self, status: int, message: str, digest: str, param: str | None = None) -> bytes:
        return encode_openai_error(status, message, param)

    def encode_stream_error(self, answer: Answer, frames_sent: int) -> bytes:
        return sse_frame({"error": {**stream_error_members(answer.script.message), "type": "server_error"}})

    def headers(self, digest: str) -> list[tuple[str, str]]:
        return openai_headers(digest)


def _envelope(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id("chatcmpl-"),
        "object": kind,
        "created": CREATED_S,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _padding(answer: Answer, delta: dict[str, Any]) -> dict[str, str]:
    content = delta.get("content") or ""
    return {"obfuscation": answer.obfuscation(content)} if answer.prompt.include_obfuscation else {}


def _message(answer: Answer) -> dict[str, Any]:
    has_text = bool(answer.text) or not (answer.tool_calls or answer.refusal)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(answer.text) if has_text else None,
        "refusal": answer.refusal or None,
        "annotations": [],
    }
    if answer.thinking:
        message["reasoning_content"] = "".join(answer.thinking)
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": answer.id("call_", call.suffix),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.tool_calls
        ]
    return message


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    """The deltas of one choice, from the one with the role to the last before the finish."""
    has_text = bool(answer.text) or not answer.tool_calls
    yield {"role": "assistant", "content": "" if has_text else None, "refusal": None}
    for delta in answer.thinking:
        yield {"reasoning_content": delta}
    for delta in answer.text:
        yield {"content": delta}
    if answer.refusal:
        yield {"refusal": answer.refusal}
    calls = [
        [{"tool_calls": [piece]} for piece in _call_pieces(answer, index)] for index in range(len(answer.tool_calls))
    ]
    if answer.script.interleave:
        for turn in zip_longest(*calls):
            yield from (delta for delta in turn if delta is not None)
    else:
        for deltas in calls:
            yield from deltas


def _call_pieces(answer: Answer, index: int) -> Iterator[dict[str, Any]]:
    call = answer.tool_calls[index]
    opening = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": answer.id("call_", call.suffix), "type": "function", "function": opening}
    for piece in argument_pieces(call.arguments):
        yield {"index": index, "function": {"arguments": piece}}


def _usage(answer: Answer) -> dict[str, Any]:
    """OpenAI's arithmetic: the prompt includes what was read from or written to the cache."""
    usage = answer.usage
    members: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
    }
    details: dict[str, int] = {"cached_tokens": usage.cache_read, "audio_tokens": 0}
    if usage.cache_write_5m or usage.cache_write_1h:
        details["cache_write_tokens"] = usage.cache_write_5m + usage.cache_write_1h
    if answer.script.usage == "input_only":
        return {"prompt_tokens": usage.prompt}
    match answer.script.cached_as:
        case "hit_tokens":
            members["prompt_cache_hit_tokens"] = usage.cache_read
            members["prompt_cache_miss_tokens"] = usage.prompt - usage.cache_read
        case "top_level":
            members["cached_tokens"] = usage.cache_read
        case "details":
            members["prompt_tokens_details"] = details
    members["completion_tokens_details"] = {
        "reasoning_tokens": usage.reasoning,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    return members
