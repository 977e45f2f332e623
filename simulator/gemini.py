"""Gemini generateContent and streamGenerateContent. https://ai.google.dev/api/generate-content

Frames end with CRLF. Thoughts are counted beside the candidates, not among them. Every chunk carries usage so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from simulator.answer import Answer, arguments_object
from simulator.dialect import Dialect, Target, encode_json
from simulator.prompt import InvalidPrompt, Prompt, count_words, last_user_text, positive_int
from simulator.script import Finish

_FINISH_REASONS = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.TOOL: "STOP",
    Finish.REFUSAL: "SAFETY",
    Finish.CONTENT_FILTER: "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiGenerate(Dialect):
    name: ClassVar[str] = "gemini_generate"
    key_headers: ClassVar[tuple[str, ...]] = ("x-goog-api-key", "authorization")

    def read(self, target: Target, headers: Mapping[str, str], body: dict[str, Any], digest: str) -> Prompt:
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise InvalidPrompt("* GenerateContentRequest.contents: contents is not specified")
        config = body.get("generationConfig") or {}
        instruction = body.get("systemInstruction") or body.get("system_instruction")
        return Prompt(
            model=target.model,
            digest=digest,
            words=count_words(instruction, contents),
            last_user_text=last_user_text(contents),
            stream=target.operation == "streamGenerateContent",
            output_cap=positive_int(config.get("maxOutputTokens")),
            is_sse=target.is_sse,
        )

    def encode(self, answer: Answer) -> bytes:
        parts = list(_parts(answer))
        return encode_json(_chunk(answer, parts, answer.usage.output, _FINISH_REASONS[answer.finish]))

    def encode_stream(self, answer: Answer) -> list[bytes]:
        parts = list(_part_deltas(answer)) or [{"text": ""}]
        chunks = []
        for number, part in enumerate(parts, 1):
            is_last = number == len(parts)
            finish = _FINISH_REASONS[answer.finish] if is_last else None
            output = answer.usage.output if is_last else min(number, answer.usage.output)
            chunks.append(encode_json(_chunk(answer, [part], output, finish)))
        if answer.prompt.is_sse:
            return [b"data: %b\r\n\r\n" % chunk for chunk in chunks]
        return [b"[%b" % chunks[0], *(b"\n,\r\n%b" % chunk for chunk in chunks[1:]), b"\n]\n"]

    def encode_error(self, status: int, message: str, digest: str, param: str | None = None) -> bytes:
        name = _STATUSES.get(status, "UNKNOWN")
        return encode_json({"error": {"code": status, "message": message, "status": name}})

    def encode_stream_error(self, answer: Answer, frames_sent: int) -> bytes:
        message = answer.script.message or self.default_message(503)
        return b"data: %b\r\n\r\n" % self.encode_error(503, message, answer.prompt.digest)

    def headers(self, digest: str) -> list[tuple[str, str]]:
        return [("server", "scaffolding on HTTPServer2"), ("server-timing", "gfet4t7; dur=12")]


def _chunk(answer: Answer, parts: list[dict[str, Any]], output: int, finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if not parts:
        del candidate["content"]
    if finish is not None:
        candidate["finishReason"] = finish
    chunk: dict[str, Any] = {"candidates": [candidate]}
    where = answer.script.usage
    if where != "none" and (where != "finish" or finish is not None):
        chunk["usageMetadata"] = _usage(answer, output)
    return {**chunk, "modelVersion": answer.model, "responseId": answer.prompt.digest[:22]}


def _usage(answer: Answer, output: int) -> dict[str, Any]:
    usage = answer.usage
    thoughts = min(output, usage.reasoning)
    members: dict[str, Any] = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": usage.prompt + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    }
    if usage.cache_read:
        members["cachedContentTokenCount"] = usage.cache_read
        members["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cache_read}]
    if thoughts:
        members["thoughtsTokenCount"] = thoughts
    return members


def _signature(answer: Answer) -> dict[str, str]:
    return {"thoughtSignature": f"Cs{answer.prompt.digest}"} if answer.is_reasoned else {}


def _calls(answer: Answer) -> Iterator[dict[str, Any]]:
    for number, call in enumerate(answer.tool_calls):
        function: dict[str, Any] = {"name": call.name}
        if call.arguments:
            function["args"] = arguments_object(call.arguments)
        # Of parallel calls only the first one carries the signature.
        yield {"functionCall": function, **(_signature(answer) if number == 0 else {})}


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.thinking:
        yield {"text": "".join(answer.thinking), "thought": True}
    if answer.text:
        yield {"text": "".join(answer.text), **({} if answer.tool_calls else _signature(answer))}
    yield from _calls(answer)


def _part_deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    for delta in answer.thinking:
        yield {"text": delta, "thought": True}
    for delta in answer.text:
        yield {"text": delta}
    yield from _calls(answer)
    if answer.is_reasoned and not answer.tool_calls:
        yield {"text": "", **_signature(answer)}
