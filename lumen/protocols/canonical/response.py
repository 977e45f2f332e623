"""A whole answer, and how a stream folds into one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Block, Citation, Reasoning, Refusal, Seal, Text, ToolCall
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    FinishReason,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    StreamFailed,
    TextDelta,
    UsageReported,
)


class Response(Struct, frozen=True):
    """`model` is the upstream's name. `blocks` in the order they began. `raw_finish` is the upstream's own word."""

    response_id: str | None
    model: str | None
    blocks: tuple[Block, ...]
    finish: FinishReason
    raw_finish: str = ""
    stop_sequence: str | None = None
    usage: TokenUsage | None = None
    service_tier: str | None = None
    anomalies: int = 0


class StreamDidNotFinish(Exception):
    """`failed` is the stream's StreamFailed, None when it has no end at all."""

    def __init__(self, failed: StreamFailed | None) -> None:
        super().__init__("the stream did not finish")
        self.failed = failed


class _Open:
    """A block under construction."""

    __slots__ = ("citations", "seal", "start", "text")

    def __init__(self, start: BlockStarted) -> None:
        self.start = start
        self.text: list[str] = []
        self.citations: list[Citation] = []
        self.seal: Seal | None = start.seal

    def block(self) -> Block:
        start, text = self.start, "".join(self.text)
        match start.kind:
            case BlockKind.TEXT:
                return Text(text, tuple(self.citations), seal=self.seal)
            case BlockKind.REFUSAL:
                return Refusal(text)
            case BlockKind.REASONING:
                return Reasoning(text, self.seal, start.is_redacted)
            case BlockKind.TOOL_CALL:
                return ToolCall(start.call_id, start.name, text, start.tool_kind, start.namespace, self.seal)


def fold(events: Iterable[Event]) -> Response:
    """The answer that a stream of events spells out. Raises StreamDidNotFinish."""
    started = ResponseStarted()
    usage: TokenUsage | None = None
    service_tier: str | None = None
    blocks: list[_Open | Block] = []
    by_index: dict[int, _Open] = {}
    for event in events:
        match event:
            case ResponseStarted():
                started = event
                usage = event.usage
            case BlockStarted():
                blocks.append(by_index.setdefault(event.index, _Open(event)))
            case TextDelta() | RefusalDelta() | ReasoningDelta() | ArgumentsDelta():
                by_index[event.index].text.append(event.text)
            case SignatureDelta():
                by_index[event.index].seal = event.seal
            case CitationAdded():
                by_index[event.index].citations.append(event.citation)
            case UsageReported():
                usage, service_tier = event.usage, event.service_tier or service_tier
            case OpaqueEvent():
                blocks.append(event.block)
            case StreamFailed():
                raise StreamDidNotFinish(event)
            case ResponseFinished():
                return Response(
                    started.response_id,
                    started.model,
                    tuple(block.block() if isinstance(block, _Open) else block for block in blocks),
                    event.reason,
                    event.raw,
                    event.stop_sequence,
                    usage,
                    service_tier,
                )
            case _:
                pass
    raise StreamDidNotFinish(None)
