"""A single Gemini answer -> the canonical response."""

from __future__ import annotations

import msgspec

from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.response import Response, StreamDidNotFinish, fold
from lumen.protocols.gemini_generate.answer_reader import AnswerReader
from lumen.protocols.provider_values import answer_object
from lumen.protocols.stream_reader import UpstreamProtocolError


def decode_response(body: bytes, issuer: str) -> Response:
    """Raises UpstreamProtocolError for what is no answer, or one that the model spoilt."""
    reader = AnswerReader(issuer)
    events: list[Event] = []
    reader.read(answer_object(body), events)
    reader.close(events)
    try:
        response = fold(events)
    except StreamDidNotFinish as unfinished:
        said = unfinished.failed.error if unfinished.failed else None
        reason = said.said.message if said else "it has no finish reason"
        raise UpstreamProtocolError(f"the answer is not complete: {reason}") from None
    return msgspec.structs.replace(response, anomalies=reader.anomalies)
