"""Anthropic streams: message_start, content blocks, message_delta with the stop reason, message_stop.

Usage comes in message_start (the prompt) and, cumulative, in message_delta. Frames are held from the message_delta that
has a stop reason. https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from lumen.protocols.anthropic_messages.usage import decode_usage, merge_usage
from lumen.protocols.stream_reader import StreamReader, Verdict


class AnthropicStreamReader(StreamReader):
    TEXT: ClassVar[re.Pattern[bytes]] = re.compile(rb'"(?:text|thinking|partial_json)"\s*:\s*"((?:[^"\\]|\\.)*)"')

    def __init__(self) -> None:
        super().__init__()
        self._raw_usage: dict[str, Any] = {}
        self._is_output_reported = False
        self._usage_anomalies = 0

    def may_decide(self, data: bytes) -> bool:
        return b'"message_' in data or b'"error"' in data

    def read(self, frame: bytes, data: bytes) -> Verdict:
        event = self.decode_object(data)
        if event is None:
            return Verdict.RELAY
        kind = event.get("type")
        if kind == "message_start":
            self._read_start(event.get("message"))
        elif kind == "message_delta":
            return self._read_delta(event)
        elif kind == "message_stop":
            self.is_complete = self.is_ended = True
            return Verdict.HOLD
        elif kind == "error" or (kind is None and event.get("error")):
            if self.is_complete:
                self.anomalies += 1
                return Verdict.KEEP_BACK
            return self.fail(event)
        return Verdict.RELAY

    def _read_start(self, message: Any) -> None:
        if not isinstance(message, dict):
            self.anomalies += 1
            return
        message_id = message.get("id")
        if isinstance(message_id, str):
            self.response_id = message_id
        self._read_usage(message.get("usage"))

    def _read_delta(self, event: dict[str, Any]) -> Verdict:
        usage = event.get("usage")
        if isinstance(usage, dict) and usage.get("output_tokens") is not None:
            self._is_output_reported = True
        self._read_usage(usage)
        delta = event.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if not isinstance(reason, str):
            return Verdict.RELAY
        self.finish_reason = reason
        return Verdict.HOLD

    def _read_usage(self, members: Any) -> None:
        if not isinstance(members, dict):
            self.anomalies += members is not None
            return
        self._raw_usage, anomalies = merge_usage(self._raw_usage, members)
        reading = decode_usage(self._raw_usage)
        # The snapshot is read anew each time, so its own anomalies replace the last reading's.
        self.anomalies += anomalies + reading.anomalies - self._usage_anomalies
        self._usage_anomalies = reading.anomalies
        usage = reading.usage
        if usage is not None and not self._is_output_reported:
            # What message_start says of the output is a placeholder: nothing has been generated yet.
            usage = msgspec.structs.replace(usage, output=None)
        self.usage = usage
