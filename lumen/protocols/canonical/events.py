"""What a stream says: a closed set of frozen events.

Grammar (`tests/unit/protocols/grammar.py` checks it; `|` is choice, `*` any number):

    stream  = ResponseStarted ( block* | UsageReported | OpaqueEvent )* end
    block   = BlockStarted(i) delta(i)* BlockFinished(i)        blocks of different i may be open at the same time
    delta   = by kind: TEXT      TextDelta | CitationAdded | SignatureDelta
                       REFUSAL   RefusalDelta
                       REASONING ReasoningDelta | SignatureDelta
                       TOOL_CALL ArgumentsDelta
    end     = ResponseFinished | StreamFailed

A stream may also be a lone StreamFailed. Indexes count up from 0 in order of BlockStarted and are never used again.
ResponseFinished is the last event and comes once: all blocks are finished and all usage is reported before it (a
decoder keeps a finish reason back until the upstream's terminator or the end of the stream). A stream that was cut ends
with StreamFailed, never with an invented finish.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Citation, Opaque, Seal, ToolKind
from lumen.protocols.stream_reader import UpstreamStreamError


class BlockKind(StrEnum):
    TEXT = "text"
    REFUSAL = "refusal"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"


class FinishReason(StrEnum):
    STOP = "stop"  # the end of the turn
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"  # the output cap
    CONTEXT = "context"  # the context window
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"  # the model declined
    FILTERED = "filtered"  # a filter of the provider stepped in (safety, recitation, blocked prompt ...)
    PAUSED = "paused"  # Anthropic pause_turn: send the answer back to go on


class ResponseStarted(Struct, frozen=True, gc=False):
    """`usage` is what is known already (Anthropic's message_start), else None."""

    response_id: str | None = None
    model: str | None = None  # the upstream's name
    usage: TokenUsage | None = None


class BlockStarted(Struct, frozen=True, gc=False):
    """The members after `kind` are a tool call's, but for `seal`: redacted reasoning has its whole content in it."""

    index: int
    kind: BlockKind
    call_id: str = ""
    name: str = ""
    tool_kind: ToolKind = ToolKind.FUNCTION
    namespace: str | None = None
    seal: Seal | None = None
    is_redacted: bool = False


class TextDelta(Struct, frozen=True, gc=False):
    index: int
    text: str


class RefusalDelta(Struct, frozen=True, gc=False):
    index: int
    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    index: int
    text: str


class SignatureDelta(Struct, frozen=True, gc=False):
    """Replaces, not extends, what came before."""

    index: int
    seal: Seal


class ArgumentsDelta(Struct, frozen=True, gc=False):
    index: int
    text: str


class CitationAdded(Struct, frozen=True, gc=False):
    index: int
    citation: Citation


class BlockFinished(Struct, frozen=True, gc=False):
    index: int


class UsageReported(Struct, frozen=True, gc=False):
    """A cumulative snapshot: the last one wins."""

    usage: TokenUsage
    service_tier: str | None = None


class ResponseFinished(Struct, frozen=True, gc=False):
    """`raw` is the upstream's own word for the reason."""

    reason: FinishReason
    raw: str
    stop_sequence: str | None = None


class StreamFailed(Struct, frozen=True):
    """`error` None: the stream ended before its end (cut)."""

    error: UpstreamStreamError | None = None


class OpaqueEvent(Struct, frozen=True, gc=False):
    """A whole block of the upstream's that no other dialect has (server tool calls and results). Left out by encoders
    of other dialects."""

    block: Opaque


Event = (
    ResponseStarted
    | BlockStarted
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | SignatureDelta
    | ArgumentsDelta
    | CitationAdded
    | BlockFinished
    | UsageReported
    | ResponseFinished
    | StreamFailed
    | OpaqueEvent
)
