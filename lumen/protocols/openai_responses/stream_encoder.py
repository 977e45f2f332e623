"""Events -> a Responses client's stream. https://platform.openai.com/docs/api-reference/responses-streaming

Each block is one output item, opened by `output_item.added` and closed by `output_item.done`; items may be open side by
side, told apart by `output_index`. What `done` events and the terminal response say is what the deltas spelled out.

A delta costs one encoding of its text: everything else of its frame but the sequence number is prepared when its block
starts. Calls of tools that were a function upstream but are none here are kept until they are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Citation, Seal, ToolKind
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    TextDelta,
    UsageReported,
)
from lumen.protocols.codec import Reply
from lumen.protocols.openai_responses import output_encoder as items
from lumen.protocols.openai_responses.citations import encode_annotations
from lumen.protocols.openai_responses.response_object import IN_PROGRESS, ResponseObject, incomplete_reason

_encode = msgspec.json.encode

_DELTA_KINDS: Mapping[BlockKind | ToolKind, str] = {
    BlockKind.TEXT: "response.output_text.delta",
    BlockKind.REFUSAL: "response.refusal.delta",
    BlockKind.REASONING: "response.reasoning_summary_text.delta",
    ToolKind.FUNCTION: "response.function_call_arguments.delta",
    ToolKind.CUSTOM: "response.custom_tool_call_input.delta",
}


class _Item:
    """One block on its way to the client. `head`: a delta frame up to its sequence number; None while deltas are kept
    back. `place`: what the events of its part have in common."""

    __slots__ = ("call", "citations", "head", "item_id", "kind", "output_index", "place", "seal", "start", "text")

    def __init__(self, start: BlockStarted, output_index: int, item_id: str, call: items.ClientCall | None) -> None:
        self.start = start
        self.kind = start.kind
        self.call = call
        self.output_index = output_index
        self.item_id = item_id
        self.seal: Seal | None = start.seal
        self.text: list[str] = []
        self.citations: list[Citation] = []
        self.head: bytes | None = None
        self.place: dict[str, Any] = {"item_id": item_id, "output_index": output_index}
        if self.kind is BlockKind.REASONING:
            self.place["summary_index"] = 0
        elif self.kind is not BlockKind.TOOL_CALL:
            self.place["content_index"] = 0


class ResponsesStreamEncoder:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._response = ResponseObject(reply)
        self._sequence = 0
        self._items: dict[int, _Item] = {}
        self._output: list[items.Item] = []
        self._has_refusal = False
        self._usage: TokenUsage | None = None
        self._service_tier: str | None = None

    @property
    def next_sequence(self) -> int | None:
        return self._sequence

    def encode(self, event: Event) -> bytes:
        encoder = _ENCODERS.get(type(event))
        return b"" if encoder is None else encoder(self, event)

    def close(self) -> bytes:
        return b""

    def _frame(self, kind: str, members: Mapping[str, Any]) -> bytes:
        sequence = self._sequence
        self._sequence = sequence + 1
        data = _encode({"type": kind, "sequence_number": sequence, **members})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    # --- the response

    def _encode_started(self, event: ResponseStarted) -> bytes:
        self._usage = event.usage
        response = msgspec.Raw(self._response.encode(IN_PROGRESS))
        return self._frame("response.created", {"response": response}) + self._frame(
            "response.in_progress", {"response": response}
        )

    def _encode_usage(self, event: UsageReported) -> bytes:
        self._usage = event.usage
        self._service_tier = event.service_tier or self._service_tier
        return b""

    def _encode_finished(self, event: ResponseFinished) -> bytes:
        reason = incomplete_reason(event.reason, has_refusal=self._has_refusal)
        status = "incomplete" if reason else items.COMPLETED
        response = self._response.encode(
            status,
            self._output,
            incomplete_reason=reason,
            usage=self._usage,
            service_tier=self._service_tier,
        )
        return self._frame(f"response.{status}", {"response": msgspec.Raw(response)})

    # --- items

    def _encode_opaque(self, event: OpaqueEvent) -> bytes:
        item = items.opaque_item(event.block)
        if item is None:
            return b""
        place = {"output_index": len(self._output), "item": item}
        self._output.append(item)
        return self._frame("response.output_item.added", place) + self._frame("response.output_item.done", place)

    def _encode_block_started(self, event: BlockStarted) -> bytes:
        output_index = len(self._output)
        match event.kind:
            case BlockKind.TOOL_CALL:
                return self._start_call(event, output_index)
            case BlockKind.REASONING:
                item = _Item(event, output_index, items.reasoning_id(self._reply), None)
                return self._add(item, items.reasoning_item(item.item_id, "", None, False))
            case _:
                item = _Item(event, output_index, items.message_id(self._reply), None)
                self._has_refusal |= event.kind is BlockKind.REFUSAL
                added = self._add(item, items.message_item(item.item_id, status=IN_PROGRESS))
                item.head = _head(item, event.kind)
                return added + self._frame("response.content_part.added", {**item.place, "part": _part(item, "")})

    def _start_call(self, event: BlockStarted, output_index: int) -> bytes:
        call = items.client_call(
            self._reply.request, event.call_id, event.name, event.tool_kind, event.namespace, event.seal
        )
        item = _Item(event, output_index, items.call_item_id(call, self._reply), call)
        opening = items.call_item(item.item_id, call, "", IN_PROGRESS)
        if call.kind is ToolKind.LOCAL_SHELL:
            self._keep(item, opening)
            return b""
        opening["input" if call.kind is ToolKind.CUSTOM else "arguments"] = ""
        if not call.is_wrapped:
            item.head = _head(item, call.kind)
        return self._add(item, opening)

    def _keep(self, item: _Item, opening: items.Item) -> None:
        self._items[item.start.index] = item
        self._output.append(opening)

    def _add(self, item: _Item, opening: items.Item) -> bytes:
        self._keep(item, opening)
        place = {"output_index": item.output_index, "item": opening}
        return self._frame("response.output_item.added", place)

    def _encode_delta(self, event: TextDelta | RefusalDelta | ArgumentsDelta) -> bytes:
        return self._delta(self._items[event.index], event.text)

    def _delta(self, item: _Item, text: str) -> bytes:
        item.text.append(text)
        head = item.head
        if head is None or not text:
            return b""
        sequence = self._sequence
        self._sequence = sequence + 1
        return b'%b%d,"delta":%b}\n\n' % (head, sequence, _encode(text))

    def _encode_reasoning(self, event: ReasoningDelta) -> bytes:
        """The summary's part is opened by its first text: reasoning without any has none."""
        item = self._items[event.index]
        if item.head is not None or not event.text:
            return self._delta(item, event.text)
        item.head = _head(item, BlockKind.REASONING)
        added = {**item.place, "part": items.summary_part("")}
        return self._frame("response.reasoning_summary_part.added", added) + self._delta(item, event.text)

    def _encode_signature(self, event: SignatureDelta) -> bytes:
        self._items[event.index].seal = event.seal
        return b""

    def _encode_citation(self, event: CitationAdded) -> bytes:
        """Shown when the text is whole: only then is it known what one without offsets covers."""
        self._items[event.index].citations.append(event.citation)
        return b""

    def _encode_block_finished(self, event: BlockFinished) -> bytes:
        item = self._items.pop(event.index)
        text = "".join(item.text)
        match item.kind:
            case BlockKind.TOOL_CALL:
                frames, done = self._finish_call(item, text)
            case BlockKind.REASONING:
                frames = self._finish_summary(item, text)
                done = items.reasoning_item(item.item_id, text, item.seal, item.start.is_redacted)
            case _:
                frames, done = self._finish_message(item, text)
        self._output[item.output_index] = done
        return frames + self._frame("response.output_item.done", {"output_index": item.output_index, "item": done})

    def _finish_message(self, item: _Item, text: str) -> tuple[bytes, items.Item]:
        part = _part(item, text, encode_annotations(item.citations, len(text)))
        frames = b""
        for i, annotation in enumerate(part.get("annotations", ())):
            added = {**item.place, "annotation_index": i, "annotation": annotation}
            frames += self._frame("response.output_text.annotation.added", added)
        if item.kind is BlockKind.REFUSAL:
            frames += self._frame("response.refusal.done", {**item.place, "refusal": text})
        else:
            frames += self._frame("response.output_text.done", {**item.place, "text": text, "logprobs": []})
        frames += self._frame("response.content_part.done", {**item.place, "part": part})
        return frames, items.message_item(item.item_id, part)

    def _finish_summary(self, item: _Item, text: str) -> bytes:
        if not text:
            return b""
        return self._frame("response.reasoning_summary_text.done", {**item.place, "text": text}) + self._frame(
            "response.reasoning_summary_part.done", {**item.place, "part": items.summary_part(text)}
        )

    def _finish_call(self, item: _Item, said: str) -> tuple[bytes, items.Item]:
        call = item.call
        assert call is not None
        done = items.call_item(item.item_id, call, said)
        if call.kind is ToolKind.LOCAL_SHELL:
            opening = {"output_index": item.output_index, "item": self._output[item.output_index]}
            return self._frame("response.output_item.added", opening), done
        arguments = call.arguments(said)
        frames = b""
        if arguments and (item.head is None or not said):
            frames = self._frame(_DELTA_KINDS[call.kind], {**item.place, "delta": arguments})
        if call.kind is ToolKind.CUSTOM:
            return frames + self._frame(
                "response.custom_tool_call_input.done", {**item.place, "input": arguments}
            ), done
        kind = "response.function_call_arguments.done"
        return frames + self._frame(kind, {**item.place, "arguments": arguments}), done


_ENCODERS: Mapping[type, Callable[[ResponsesStreamEncoder, Any], bytes]] = {
    TextDelta: ResponsesStreamEncoder._encode_delta,
    RefusalDelta: ResponsesStreamEncoder._encode_delta,
    ArgumentsDelta: ResponsesStreamEncoder._encode_delta,
    ReasoningDelta: ResponsesStreamEncoder._encode_reasoning,
    SignatureDelta: ResponsesStreamEncoder._encode_signature,
    CitationAdded: ResponsesStreamEncoder._encode_citation,
    BlockStarted: ResponsesStreamEncoder._encode_block_started,
    BlockFinished: ResponsesStreamEncoder._encode_block_finished,
    OpaqueEvent: ResponsesStreamEncoder._encode_opaque,
    UsageReported: ResponsesStreamEncoder._encode_usage,
    ResponseStarted: ResponsesStreamEncoder._encode_started,
    ResponseFinished: ResponsesStreamEncoder._encode_finished,
}


def _part(item: _Item, text: str, annotations: list[items.Item] | None = None) -> items.Item:
    if item.kind is BlockKind.REFUSAL:
        return items.refusal_part(text)
    return items.text_part(text, annotations or [])


def _head(item: _Item, kind: BlockKind | ToolKind) -> bytes:
    """A delta frame up to its sequence number."""
    name = _DELTA_KINDS[kind]
    members = {"type": name, **item.place}
    if kind is BlockKind.TEXT:
        members["logprobs"] = []
    data = _encode(members).removesuffix(b"}")
    return b'event: %b\ndata: %b,"sequence_number":' % (name.encode(), data)
