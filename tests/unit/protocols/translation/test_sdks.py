"""The vendors' own SDKs read every translated answer, streamed and single."""

from __future__ import annotations

import anthropic
import httpx2
import openai
import pytest

from lumen.protocols.dialects import Dialect
from tests.unit.protocols.translation import answers

CASES = answers.answer_cases()

# The SDK's chunks know no custom tools, though the API streams them.
CHAT_CASES = [case for case in CASES if case[1] != "custom_tool"]

by_case = pytest.mark.parametrize(("upstream", "behaviour"), CASES, ids=map("-".join, CASES))


def http_client(content: bytes, content_type: str) -> httpx2.Client:
    headers = {"content-type": content_type}
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda request: httpx2.Response(200, content=content, headers=headers))
    )


def stream_client(upstream: Dialect, behaviour: str, client: Dialect) -> httpx2.Client:
    return http_client(answers.client_stream(upstream, behaviour, client), "text/event-stream")


def openai_client(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="http://lumen.test/v1", http_client=http, _strict_response_validation=True
    )


def anthropic_client(http: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        auth_token="k", base_url="http://lumen.test", http_client=http, _strict_response_validation=True
    )


@pytest.mark.parametrize(("upstream", "behaviour"), CHAT_CASES, ids=map("-".join, CHAT_CASES))
def test_chat(upstream: Dialect, behaviour: str) -> None:
    _, body = answers.client_single(upstream, behaviour, Dialect.OPENAI_CHAT)
    whole = openai_client(http_client(body, "application/json")).chat.completions.create(model="m", messages=[])
    client = openai_client(stream_client(upstream, behaviour, Dialect.OPENAI_CHAT))
    with client.chat.completions.stream(model="m", messages=[]) as stream:
        stream.until_done()
        streamed = stream.current_completion_snapshot
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason
    assert (streamed.choices[0].message.content or "") == (whole.choices[0].message.content or "")
    assert streamed.usage == whole.usage
    calls = [
        [(call.id, call.function.name, call.function.arguments) for call in tools if call.type == "function"]
        for tools in (streamed.choices[0].message.tool_calls or [], whole.choices[0].message.tool_calls or [])
    ]
    assert calls[0] == calls[1]


@by_case
def test_responses(upstream: Dialect, behaviour: str) -> None:
    _, body = answers.client_single(upstream, behaviour, Dialect.OPENAI_RESPONSES)
    whole = openai_client(http_client(body, "application/json")).responses.create(model="m", input="x")
    client = openai_client(stream_client(upstream, behaviour, Dialect.OPENAI_RESPONSES))
    events = list(client.responses.create(model="m", input="x", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.output == whole.output
    assert last.response.usage == whole.usage
    assert last.response.status == whole.status


@by_case
def test_messages(upstream: Dialect, behaviour: str) -> None:
    _, body = answers.client_single(upstream, behaviour, Dialect.ANTHROPIC_MESSAGES)
    whole = anthropic_client(http_client(body, "application/json")).messages.create(
        model="m", max_tokens=9, messages=[]
    )
    client = anthropic_client(stream_client(upstream, behaviour, Dialect.ANTHROPIC_MESSAGES))
    with client.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        streamed = stream.get_final_message()
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.stop_sequence == whole.stop_sequence
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens
