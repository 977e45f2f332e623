"""Chat Completions streams: chunks, one usage chunk, `[DONE]`.

Choices. A request for n answers gets n finish reasons, each on its own chunk, while the other choices go on. Frames are
held from the one after which all n are finished: before it the client cannot have seen the end of the answer, and
text of the others must keep flowing. A provider that ignores n finishes fewer; then `[DONE]` is the frame.

Usage comes in a chunk of its own (`choices: []`, before or after the finish), on the finish chunk, inside a choice
(Kimi), on every chunk (the last counts), or never. The client always gets exactly one usage chunk, last before
`[DONE]`: the provider's own, moved there if need be, else one made from the usage that rode elsewhere, else none.
A client that said `include_usage: false` gets none.

`[DONE]` may be missing: an answer whose choices are all finished is complete without it, and gets one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from lumen.money.usage import TokenUsage
from lumen.protocols.openai_chat.usage import decode_usage, encode_usage
from lumen.protocols.stream_reader import StreamReader, Verdict

DONE = b"data: [DONE]\n\n"
_CHUNK_MEMBERS = ("id", "object", "created", "model", "service_tier", "system_fingerprint")


class ChatStreamReader(StreamReader):
    TEXT: ClassVar[re.Pattern[bytes]] = re.compile(
        rb'"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)"'
    )

    def __init__(self, *, suppress_usage_chunk: bool, choices: int) -> None:
        super().__init__()
        self._suppress_usage_chunk = suppress_usage_chunk
        self._choices = choices
        self._finished: set[int] = set()
        self._has_relayed = False
        self._envelope: dict[str, Any] = {}
        self._raw_usage: Mapping[str, Any] | None = None
        self._usage_chunk: bytes | None = None
        self._done: bytes | None = None

    def may_decide(self, data: bytes) -> bool:
        # Ordinary chunks say null: as many nulls as names means that no chunk of this read says anything else.
        return (
            data.count(b'"finish_reason"') != data.count(b'"finish_reason":null')
            or b'"error"' in data
            or b"[DONE]" in data
            or ((usages := data.count(b'"usage"')) > 0 and usages != data.count(b'"usage":null'))
        )

    def read(self, frame: bytes, data: bytes) -> Verdict:
        if data.strip() == b"[DONE]":
            self._done = frame
            self.is_ended = True
            # Some relatives never say a finish reason; but [DONE] alone is no answer.
            self.is_complete = self.is_complete or self._has_relayed
            return Verdict.KEEP_BACK
        if self._done is not None:
            return Verdict.KEEP_BACK  # nothing follows [DONE]
        chunk = self.decode_object(data)
        if chunk is None:
            return Verdict.RELAY
        if chunk.get("error"):
            if self.is_complete:
                self.anomalies += 1
                return Verdict.KEEP_BACK
            return self.fail(chunk)
        return self._read_chunk(frame, chunk)

    def _read_chunk(self, frame: bytes, chunk: dict[str, Any]) -> Verdict:
        if not self._envelope:
            self._envelope = {name: chunk[name] for name in _CHUNK_MEMBERS if name in chunk}
            response_id = chunk.get("id")
            self.response_id = response_id if isinstance(response_id, str) else None
        choices = chunk.get("choices")
        choices = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        has_usage = any(self._read_usage(holder.get("usage")) for holder in (chunk, *choices))
        for choice in choices:
            self._read_finish(choice)
        if has_usage and not choices:
            self._usage_chunk = frame
            return Verdict.KEEP_BACK
        if has_usage:
            self._usage_chunk = None
        if len(self._finished) >= self._choices:
            self.is_complete = True
            return Verdict.HOLD
        self._has_relayed = True
        return Verdict.RELAY

    def _read_usage(self, members: Any) -> bool:
        if not isinstance(members, dict):
            self.anomalies += members is not None
            return False
        reading = decode_usage(members)
        self.anomalies += reading.anomalies
        if reading.usage is None:
            return False
        self.usage = reading.usage
        self._raw_usage = members
        return True

    def _read_finish(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if not isinstance(reason, str) or not reason:  # some say "" where others say null
            return
        index = choice.get("index")
        self._finished.add(index if isinstance(index, int) else 0)
        if self.finish_reason is None:
            self.finish_reason = reason

    def supply_usage(self, usage: TokenUsage) -> None:
        super().supply_usage(usage)
        self._usage_chunk = None
        self._raw_usage = encode_usage(usage)

    def closing(self, held: list[bytes]) -> bytes:
        if not self.is_complete:
            return b"".join(held)
        return b"".join(held) + self._closing_usage() + (self._done or DONE)

    def _closing_usage(self) -> bytes:
        if self._suppress_usage_chunk or self._raw_usage is None:
            return b""
        if self._usage_chunk is not None:
            return self._usage_chunk
        chunk = {**self._envelope, "choices": [], "usage": self._raw_usage}
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
