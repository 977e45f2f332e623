"""Single answers of OpenAI and its relatives. What they have in common with streams is tested there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lumen.protocols.canonical.content import Reasoning, Text, ToolCall
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.canonical.response import Response
from lumen.protocols.openai_responses.response_decoder import decode_response
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.openai_responses.samples import CALL, MESSAGE, REASONING, response


def decode(members: Any) -> Response:
    return decode_response(msgspec.json.encode(members), "xai")


def test_seals_are_the_issuers() -> None:
    (block,) = decode(response(REASONING)).blocks
    assert isinstance(block, Reasoning)
    assert block.seal is not None
    assert (block.seal.issuer, block.seal.value) == ("xai", "gAAAA==")


def test_a_relatives_answer_may_say_no_more_than_its_output() -> None:
    got = decode({"output": [None, {"type": "message", "content": [None, {"type": "output_text", "text": "a"}]}]})
    assert got == Response(None, None, (Text("a"),), FinishReason.STOP, "completed")


def test_an_empty_output_is_an_answer() -> None:
    assert decode(response()).blocks == ()


def test_an_empty_text_is_no_block() -> None:
    assert decode(response({**MESSAGE, "content": [{"type": "output_text", "text": ""}]})).blocks == ()


def test_calls_of_a_cut_answer_do_not_hide_the_cut() -> None:
    got = decode(response(CALL, status="incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert isinstance(got.blocks[0], ToolCall)
    assert got.finish is FinishReason.LENGTH


def test_usage_that_makes_no_sense_is_an_anomaly() -> None:
    got = decode(response(usage={"input_tokens": -1, "output_tokens": "many"}))
    assert (got.usage, got.anomalies) == (None, 2)
    assert decode(response(usage=[])).anomalies == 1


@pytest.mark.parametrize(
    "members",
    [
        [],
        "text",
        {},
        {"output": None},
        {"output": {}},
        *(response(status=s) for s in ("failed", "queued", "cancelled")),
    ],
)
def test_what_is_no_finished_answer_is_a_protocol_error(members: Any) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode(members)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"output":', b"\xff"])
def test_what_is_no_json_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_response(body, "openai")
