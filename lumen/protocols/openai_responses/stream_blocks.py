"""The blocks of a Responses stream under construction: from deltas, completed by whatever says more.

Items are known by their `output_index`, by their id where a relative sends no index; parts by `content_index`. (Ids
alone would not do: some proxies give an item another id in every event.) A block starts with its first delta, for calls
with what names them. Whatever a later, fuller event says adds what is still missing, so that relatives which leave out
deltas, `added` or `done` events lose nothing, and a second `done` changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lumen.protocols.canonical.content import Block, Citation, Opaque, Reasoning, Refusal, Seal, Text, ToolCall
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
    SignatureDelta,
    TextDelta,
)
from lumen.protocols.openai_responses.citations import decode_annotation
from lumen.protocols.openai_responses.input_items import PART_SEPARATOR
from lumen.protocols.openai_responses.output_items import CALL_KINDS, decode_call, decode_output_item

_DELTA_EVENTS: Mapping[BlockKind, Callable[[int, str], Event]] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.TOOL_CALL: ArgumentsDelta,
}


class _Open:
    """One block. `part` is the reasoning part it is in: (whether of the summary, its index)."""

    __slots__ = ("citations", "delta", "index", "is_finished", "kind", "part", "said")

    def __init__(self, index: int, kind: BlockKind) -> None:
        self.index = index
        self.kind = kind
        self.delta = _DELTA_EVENTS[kind]
        self.said: list[str] = []
        self.citations = 0
        self.part: tuple[bool, int] | None = None
        self.is_finished = False


class Item:
    __slots__ = ("blocks", "is_done")

    def __init__(self) -> None:
        self.blocks: dict[int, _Open] = {}
        self.is_done = False


class Blocks:
    """`events` collects what became known; the decoder takes it away."""

    def __init__(self, issuer: str) -> None:
        self.events: list[Event] = []
        self.anomalies = 0
        self.has_calls = self.has_refusal = False
        self._issuer = issuer
        self._items: list[Item] = []
        self._by_output_index: dict[int, Item] = {}
        self._by_id: dict[str, Item] = {}
        self._next_index = 0

    def item(self, output_index: int | None, item_id: Any) -> Item:
        if output_index is not None:
            item = self._by_output_index.get(output_index)
            if item is None:
                item = self._by_output_index[output_index] = self._new_item()
                if isinstance(item_id, str):
                    self._by_id.setdefault(item_id, item)
            return item
        key = item_id if isinstance(item_id, str) else ""
        return self._by_id.get(key) or self._by_id.setdefault(key, self._new_item())

    def final_item(self, position: int, item_id: Any) -> Item:
        """The streamed item that the terminal response's output has at `position`, else a new one."""
        if isinstance(item_id, str) and item_id in self._by_id:
            return self._by_id[item_id]
        if not self._by_output_index and position < len(self._items):
            return self._items[position]
        return self.item(position, item_id)

    def _new_item(self) -> Item:
        self._items.append(Item())
        return self._items[-1]

    # --- deltas

    def add_delta(self, item: Item, place: int, kind: BlockKind, text: str) -> None:
        block = item.blocks.get(place)
        if block is None or block.is_finished or block.kind is not kind:
            block = self._block_of(item, place, kind)
            if block is None:
                return
        block.said.append(text)
        self.events.append(block.delta(block.index, text))

    def add_reasoning(self, item: Item, part: tuple[bool, int], text: str) -> None:
        """Parts are joined by blank lines. Where summary and reasoning itself both come, the first to come counts."""
        block = self._block_of(item, 0, BlockKind.REASONING)
        if block is None:
            return
        if block.part is not None and block.part != part:
            if block.part[0] is not part[0]:
                return
            text = PART_SEPARATOR + text
        block.part = part
        block.said.append(text)
        self.events.append(ReasoningDelta(block.index, text))

    def add_annotation(self, item: Item, place: int, annotation: Any) -> None:
        block = self._block_of(item, place, BlockKind.TEXT)
        if block is not None and isinstance(annotation, dict):
            block.citations += 1
            self.events.append(CitationAdded(block.index, decode_annotation(annotation)))

    def _block_of(self, item: Item, place: int, kind: BlockKind) -> _Open | None:
        """The open block, a new one if need be; None, and an anomaly, where there cannot be one. A call that nothing
        has named yet comes whole in its `done`."""
        block = item.blocks.get(place)
        if block is None and not item.is_done and kind is not BlockKind.TOOL_CALL:
            return self._open(item, place, BlockStarted(self._next_index, kind))
        if block is None or block.is_finished or block.kind is not kind:
            self.anomalies += 1
            return None
        return block

    # --- whole items and parts

    def begin_item(self, item: Item, members: Mapping[str, Any]) -> None:
        """`output_item.added`: calls start with it; what it carries of texts, arguments and seals may be a part."""
        kind = CALL_KINDS.get(str(members.get("type")))
        if kind is None or item.blocks or item.is_done:
            return
        call = decode_call(members, kind)
        if call.name and call.call_id:
            self._open(item, 0, self._started(call))

    def complete_item(self, item: Item, members: Mapping[str, Any]) -> None:
        """Says what was not said yet, once."""
        if item.is_done:
            return
        item.is_done = True
        for place, block in decode_output_item(members, self._issuer).items():
            self.complete(item, place, block)
        self._finish_blocks(item)

    def complete(self, item: Item, place: int, block: Block) -> None:
        if isinstance(block, Opaque):
            self.events.append(OpaqueEvent(block))
            return
        opened = item.blocks.get(place) or self._open(item, place, self._started(block))
        if opened.is_finished:
            return
        text, seal, citations = _contents(block)
        said = "".join(opened.said)
        if text != said and text.startswith(said):
            self.events.append(opened.delta(opened.index, text[len(said) :]))
        self.anomalies += not text.startswith(said) and opened.kind is not BlockKind.REASONING
        self.events += [CitationAdded(opened.index, citation) for citation in citations[opened.citations :]]
        if seal is not None and opened.kind is BlockKind.REASONING:
            self.events.append(SignatureDelta(opened.index, seal))
        self._finish(opened)

    def finish_all(self) -> None:
        for item in self._items:
            self._finish_blocks(item)

    def _finish_blocks(self, item: Item) -> None:
        for block in item.blocks.values():
            self._finish(block)

    def _finish(self, block: _Open) -> None:
        if not block.is_finished:
            block.is_finished = True
            self.events.append(BlockFinished(block.index))

    def _open(self, item: Item, place: int, started: BlockStarted) -> _Open:
        block = item.blocks[place] = _Open(started.index, started.kind)
        self._next_index += 1
        self.has_calls |= started.kind is BlockKind.TOOL_CALL
        self.has_refusal |= started.kind is BlockKind.REFUSAL
        self.events.append(started)
        return block

    def _started(self, block: Block) -> BlockStarted:
        index = self._next_index
        match block:
            case ToolCall():
                return BlockStarted(index, BlockKind.TOOL_CALL, block.call_id, block.name, block.kind, block.namespace)
            case Reasoning():
                return BlockStarted(index, BlockKind.REASONING)
            case Refusal():
                return BlockStarted(index, BlockKind.REFUSAL)
            case _:
                return BlockStarted(index, BlockKind.TEXT)


def _contents(block: Block) -> tuple[str, Seal | None, tuple[Citation, ...]]:
    match block:
        case Text():
            return block.text, None, block.citations
        case Reasoning():
            return block.text, block.seal, ()
        case ToolCall():
            return block.arguments, None, ()
        case Refusal():
            return block.text, None, ()
        case _:
            return "", None, ()
