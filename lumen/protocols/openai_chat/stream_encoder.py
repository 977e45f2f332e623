"""Events -> Chat Completions chunks. https://platform.openai.com/docs/api-reference/chat/streaming

The role comes first, even for an empty answer; then deltas; one finish; the usage chunk (`choices: []`) unless the
client declined it; `[DONE]`. Pieces of different calls may interleave here as they do in the events. The input of a
custom tool that was a function upstream is written when it is whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.money.usage import TokenUsage
from lumen.protocols.arguments import unwrap_custom_input
from lumen.protocols.canonical.content import ToolKind
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    TextDelta,
    UsageReported,
)
from lumen.protocols.codec import Reply
from lumen.protocols.openai_chat.citations import encode_annotation
from lumen.protocols.openai_chat.finish import encode_finish
from lumen.protocols.openai_chat.response_encoder import service_tier_member
from lumen.protocols.openai_chat.tools_decoder import CALL_PREFIX
from lumen.protocols.openai_chat.usage import encode_usage
from lumen.protocols.seals import client_call_id
from lumen.protocols.tool_names import original_name

DONE = b"data: [DONE]\n\n"
_NO_ARGUMENTS = "{}"  # clients parse them
_json = msgspec.json.Encoder()
_MEMBERS = {BlockKind.TEXT: b"content", BlockKind.REASONING: b"reasoning_content", BlockKind.REFUSAL: b"refusal"}


class _Block:
    """A block on its way out. A delta is `head`, its text as JSON, `tail`."""

    __slots__ = ("has_text", "head", "held", "if_empty", "start_chars", "tail")

    def __init__(self, head: bytes, tail: bytes, start_chars: int = 0, if_empty: str = "") -> None:
        self.head = head
        self.tail = tail
        self.start_chars = start_chars  # where it begins in the answer's text
        self.if_empty = if_empty  # what stands for no text at all
        self.has_text = False
        self.held: list[str] | None = None  # a custom tool's arguments, until they are whole


class OpenAIChatStreamEncoder:
    next_sequence: int | None = None

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._envelope = {
            "id": f"chatcmpl-{reply.new_id()}",
            "object": "chat.completion.chunk",
            "created": reply.created_s,
            "model": reply.model,
        }
        usage = b'"usage":null,' if reply.include_usage else b""
        self._head = b"data: " + _json.encode(self._envelope)[:-1] + b"," + usage + b'"choices":[{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]}\n\n'
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._text_chars = 0
        self._reasoning_index: int | None = None
        self._has_refusal = False
        self._usage: TokenUsage | None = None
        self._service_tier: str | None = None

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            self._text_chars += len(event.text)
            return self._delta(event.index, event.text)
        match event:
            case ReasoningDelta():
                return self._reasoning(event)
            case RefusalDelta():
                return self._delta(event.index, event.text)
            case ArgumentsDelta():
                return self._arguments(event)
            case BlockStarted():
                return self._start_block(event)
            case BlockFinished():
                return self._finish_block(event.index)
            case CitationAdded():
                return self._citation(event)
            case UsageReported():
                self._usage = event.usage
                self._service_tier = event.service_tier or self._service_tier
            case ResponseStarted():
                self._usage = event.usage
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case ResponseFinished():
                return self._finish(event)
            case _:
                pass
        return b""

    def close(self) -> bytes:
        return DONE

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._head + _json.encode(delta) + self._tail

    def _delta(self, index: int, text: str) -> bytes:
        if not text:
            return b""
        block = self._blocks[index]
        block.has_text = True
        return block.head + _json.encode(text) + block.tail

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        """Thinking of several blocks is one text for the client, with a blank line between them."""
        if not event.text:
            return b""
        is_next = self._reasoning_index not in (None, event.index)
        self._reasoning_index = event.index
        return self._delta(event.index, "\n\n" + event.text if is_next else event.text)

    def _start_block(self, event: BlockStarted) -> bytes:
        if event.kind is BlockKind.TOOL_CALL:
            return self._start_call(event)
        self._has_refusal |= event.kind is BlockKind.REFUSAL
        head = self._head + b'{"' + _MEMBERS[event.kind] + b'":'
        self._blocks[event.index] = _Block(head, b"}" + self._tail, self._text_chars)
        return b""

    def _start_call(self, event: BlockStarted) -> bytes:
        number, self._calls = self._calls, self._calls + 1
        request = self._reply.request
        _, name = original_name(request, event.name)
        if request.is_legacy_functions:
            return self._start_function_call(event.index, name, number)
        must_unwrap = event.tool_kind is not ToolKind.CUSTOM and request.tool_kind(name) is ToolKind.CUSTOM
        kind = "custom" if must_unwrap or event.tool_kind is ToolKind.CUSTOM else "function"
        member = "input" if kind == "custom" else "arguments"
        head = self._head + f'{{"tool_calls":[{{"index":{number},"{kind}":{{"{member}":'.encode()
        block = _Block(head, b"}}]}" + self._tail, if_empty="" if kind == "custom" else _NO_ARGUMENTS)
        block.held = [] if must_unwrap else None
        self._blocks[event.index] = block
        call_id = client_call_id(event.call_id, event.seal, CALL_PREFIX)
        call = {"index": number, "id": call_id, "type": kind, kind: {"name": name, member: ""}}
        return self._chunk({"tool_calls": [call]})

    def _start_function_call(self, index: int, name: str, number: int) -> bytes:
        """The old answer has room for one call; any other is left out."""
        if number:
            return b""
        head = self._head + b'{"function_call":{"arguments":'
        self._blocks[index] = _Block(head, b"}}" + self._tail, if_empty=_NO_ARGUMENTS)
        return self._chunk({"function_call": {"name": name, "arguments": ""}})

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        block = self._blocks.get(event.index)
        if block is None:
            return b""
        if block.held is not None:
            block.held.append(event.text)
            return b""
        return self._delta(event.index, event.text)

    def _finish_block(self, index: int) -> bytes:
        block = self._blocks.get(index)
        if block is None:
            return b""
        if block.held is not None:
            return self._delta(index, unwrap_custom_input("".join(block.held)))
        return b"" if block.has_text else self._delta(index, block.if_empty)

    def _citation(self, event: CitationAdded) -> bytes:
        annotation = encode_annotation(event.citation, self._blocks[event.index].start_chars, self._text_chars)
        return b"" if annotation is None else self._chunk({"annotations": [annotation]})

    def _finish(self, event: ResponseFinished) -> bytes:
        reason = encode_finish(
            event.reason,
            has_calls=self._calls > 0,
            has_refusal=self._has_refusal,
            is_legacy=self._reply.request.is_legacy_functions,
        )
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}
        envelope = {**self._envelope, **service_tier_member(self._service_tier)}
        if not self._reply.include_usage:
            return _frame({**envelope, "choices": [choice]})
        finish = _frame({**envelope, "usage": None, "choices": [choice]})
        if self._usage is None:
            return finish
        return finish + _frame({**envelope, "choices": [], "usage": encode_usage(self._usage)})


def _frame(members: dict[str, Any]) -> bytes:
    return b"data: " + _json.encode(members) + b"\n\n"
