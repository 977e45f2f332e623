"""Which event may follow which (`lumen/protocols/canonical/events.py`), for the decoders' tests."""

from __future__ import annotations

from collections.abc import Iterable

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
    StreamFailed,
    TextDelta,
    UsageReported,
)

_DELTAS: dict[type, set[BlockKind]] = {
    TextDelta: {BlockKind.TEXT},
    CitationAdded: {BlockKind.TEXT},
    SignatureDelta: {BlockKind.TEXT, BlockKind.REASONING},
    RefusalDelta: {BlockKind.REFUSAL},
    ReasoningDelta: {BlockKind.REASONING},
    ArgumentsDelta: {BlockKind.TOOL_CALL},
}


def assert_grammatical(events: Iterable[Event]) -> None:
    """A whole stream, from its first event to its last."""
    open_blocks: dict[int, BlockKind] = {}
    next_index = 0
    is_started = is_ended = False
    for event in events:
        assert not is_ended, f"{event} after the end"
        if isinstance(event, StreamFailed):
            is_ended = True
            continue
        assert is_started is not isinstance(event, ResponseStarted), f"{event}: started once, and first"
        match event:
            case ResponseStarted():
                is_started = True
            case BlockStarted():
                assert event.index == next_index, f"{event}: expected index {next_index}"
                next_index += 1
                open_blocks[event.index] = event.kind
            case BlockFinished():
                assert open_blocks.pop(event.index, None) is not None, f"{event}: not open"
            case ResponseFinished():
                assert not open_blocks, f"finished with open blocks {open_blocks}"
                is_ended = True
            case UsageReported() | OpaqueEvent():
                pass
            case _:
                assert open_blocks.get(event.index) in _DELTAS[type(event)], f"{event}: no such block is open"
    assert is_ended, "the stream has no end"
