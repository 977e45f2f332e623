"""OpenAI's own SDK reads what is emitted: every event by its model, the whole by its client."""

from __future__ import annotations

import json
from typing import Any, get_args

import httpx2
import openai
import pytest
from openai._models import construct_type
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent

from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.request import Request
from lumen.protocols.canonical.response import fold
from lumen.protocols.openai_responses.request_decoder import decode_request
from lumen.protocols.openai_responses.response_encoder import encode_response
from tests.unit.protocols.openai_responses.lifecycle import read_events
from tests.unit.protocols.openai_responses.samples import CODEX_REQUEST, FULL, body, decode, encode, reply, stream
from tests.unit.protocols.openai_responses.test_request_encoder import RICH_REQUEST

MODELS = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(ResponseStreamEvent)[0])
}
ANSWERS = {"full": FULL, "empty": (), "text": FULL[2:3], "calls": FULL[4:]}
REQUESTS = {"plain": body(), "codex": CODEX_REQUEST, "rich": RICH_REQUEST}


def client(content: bytes, content_type: str) -> openai.OpenAI:
    answer = httpx2.Response(200, content=content, headers={"content-type": content_type})
    transport = httpx2.MockTransport(lambda request: answer)
    return openai.OpenAI(api_key="k", base_url="http://lumen.test/v1", http_client=httpx2.Client(transport=transport))


@pytest.fixture(params=ANSWERS)
def events(request: pytest.FixtureRequest) -> list[Event]:
    return decode(stream(*ANSWERS[request.param]))


@pytest.fixture(params=REQUESTS)
def asked(request: pytest.FixtureRequest) -> Request:
    return decode_request(REQUESTS[request.param])


def test_every_event_is_valid_by_its_model(events: list[Event], asked: Request) -> None:
    for payload in read_events(encode(events, reply(asked))):
        MODELS[payload["type"]].model_validate(payload, strict=True)


def test_the_single_answer_is_valid_by_its_model(events: list[Event], asked: Request) -> None:
    payload = json.loads(encode_response(fold(events), reply(asked)))
    response = SdkResponse.model_validate(payload)
    assert response.to_dict(exclude_unset=True, mode="json")["output"] == payload["output"]


def test_a_plain_stream(events: list[Event]) -> None:
    sdk = client(encode(events), "text/event-stream")
    last = list(sdk.responses.create(model="m", input="x", stream=True))[-1]
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert last.response.usage.total_tokens == 17


def test_the_accumulating_stream() -> None:
    sdk = client(encode(decode(stream(*FULL))), "text/event-stream")
    with sdk.responses.stream(model="m", input="x") as helper:
        kinds = [event.type for event in helper]
        final = helper.get_final_response()
    assert final.output_text == "Hello"
    assert "response.output_text.delta" in kinds
    assert [item.type for item in final.output] == [
        "reasoning",
        "web_search_call",
        "message",
        "message",
        "function_call",
        "custom_tool_call",
    ]


def test_a_single_answer() -> None:
    sdk = client(encode_response(fold(decode(stream(*FULL))), reply()), "application/json")
    response = sdk.responses.create(model="m", input="x")
    assert response.output_text == "Hello"
    assert response.status == "completed"


def test_what_the_sdk_gives_back_is_understood() -> None:
    """The usual loop: `input += response.output`."""
    payload: Any = json.loads(encode_response(fold(decode(stream(*FULL))), reply()))
    response = construct_type(type_=SdkResponse, value=payload)
    assert isinstance(response, SdkResponse)
    output = [item.to_dict(exclude_unset=False, mode="json") for item in response.output]
    (turn,) = decode_request(body(input=output)).turns
    assert [type(block).__name__ for block in turn.content] == [
        "Reasoning",
        "Opaque",
        "Text",
        "Refusal",
        "ToolCall",
        "ToolCall",
    ]
