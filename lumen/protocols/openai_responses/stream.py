"""Responses streams: typed, numbered events; the last one carries the whole response with its usage.

`response.completed` and `response.incomplete` end an answer. `response.failed` and `error` are errors. The events of a
response's life (`response.created` ...) are the only ones with a member named `response`; deltas have none.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from lumen.protocols.openai_responses.usage import decode_usage
from lumen.protocols.stream_reader import StreamReader, Verdict

_TERMINAL = frozenset({"response.completed", "response.incomplete"})


class ResponsesStreamReader(StreamReader):
    TEXT: ClassVar[re.Pattern[bytes]] = re.compile(rb'"delta"\s*:\s*"((?:[^"\\]|\\.)*)"')

    def may_decide(self, data: bytes) -> bool:
        return b'"response"' in data or b'"error"' in data or b"[DONE]" in data

    def read(self, frame: bytes, data: bytes) -> Verdict:
        if data.strip() == b"[DONE]":
            return Verdict.HOLD if self.is_complete else Verdict.RELAY
        event = self.decode_object(data)
        if event is None:
            return Verdict.RELAY
        kind = event.get("type")
        response = event.get("response")
        if isinstance(response, dict):
            self._read_response(response)
        if kind in _TERMINAL:
            self.is_complete = self.is_ended = True
            self.finish_reason = finish_reason_of(response) or str(kind).removeprefix("response.")
            return Verdict.HOLD
        is_failure = kind in ("response.failed", "error") or (kind is None and bool(event.get("error")))
        if not is_failure:
            return Verdict.RELAY
        if self.is_complete:
            self.anomalies += 1
            return Verdict.KEEP_BACK
        return self.fail(response if isinstance(response, dict) and response.get("error") else event)

    def _read_response(self, response: dict[str, Any]) -> None:
        response_id = response.get("id")
        if isinstance(response_id, str):
            self.response_id = response_id
        members = response.get("usage")
        if isinstance(members, dict):
            reading = decode_usage(members)
            self.anomalies += reading.anomalies
            self.usage = reading.usage or self.usage
        elif members is not None:
            self.anomalies += 1


def finish_reason_of(response: Any) -> str:
    """The reason an answer is incomplete, else its status; "" when it has neither."""
    if not isinstance(response, dict):
        return ""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    status = response.get("status")
    return reason if isinstance(reason, str) else status if isinstance(status, str) else ""
