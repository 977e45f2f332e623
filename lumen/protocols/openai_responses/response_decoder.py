"""A Responses upstream's single answer -> canonical. https://platform.openai.com/docs/api-reference/responses/object"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.content import Block, Refusal, ToolCall
from lumen.protocols.canonical.response import Response
from lumen.protocols.openai_responses.output_items import decode_output_item, finish_reason
from lumen.protocols.openai_responses.stream import finish_reason_of
from lumen.protocols.openai_responses.usage import decode_usage
from lumen.protocols.provider_values import answer_object, text_or_none
from lumen.protocols.stream_reader import UpstreamProtocolError
from lumen.protocols.usage_counts import UsageReading

# A response in another state is no answer.
_ENDED = frozenset({"", "completed", "incomplete"})


def decode_response(body: bytes, issuer: str) -> Response:
    """Raises UpstreamProtocolError for what is no finished answer. `issuer`: the vendor of the model."""
    members = answer_object(body)
    if not isinstance(members.get("output"), list):
        raise UpstreamProtocolError("the answer has no output")
    status = text_or_none(members.get("status")) or ""
    if status not in _ENDED:
        raise UpstreamProtocolError(f"the answer is {status}")
    blocks = _blocks(members["output"], issuer)
    reading = read_usage(members.get("usage"))
    raw = finish_reason_of(members) or "completed"
    return Response(
        text_or_none(members.get("id")),
        text_or_none(members.get("model")),
        blocks,
        finish_reason(
            raw,
            has_calls=any(isinstance(block, ToolCall) for block in blocks),
            has_refusal=any(isinstance(block, Refusal) for block in blocks),
        ),
        raw,
        usage=reading.usage,
        service_tier=text_or_none(members.get("service_tier")),
        anomalies=reading.anomalies,
    )


def _blocks(output: list[Any], issuer: str) -> tuple[Block, ...]:
    items = [item for item in output if isinstance(item, dict)]
    return tuple(block for item in items for block in decode_output_item(item, issuer).values())


def read_usage(members: Any) -> UsageReading:
    """What is no object is an anomaly; null is not reported."""
    return decode_usage(members) if isinstance(members, dict) else UsageReading(None, int(members is not None))
