"""The vendors' own SDKs read what a tap lets out, from the first frame to the last."""

from __future__ import annotations

import anthropic
import httpx2
import openai

from lumen.protocols.dialects import Dialect
from tests.unit.protocols.frames import CHAT_USAGE, DONE, STREAMS, chunk, run


def http_client(dialect: Dialect, reads: list[bytes]) -> httpx2.Client:
    tap, relayed = run(dialect, reads)
    headers = {"content-type": "text/event-stream"}
    answer = relayed + tap.held
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda request: httpx2.Response(200, content=answer, headers=headers))
    )


def openai_client(dialect: Dialect, reads: list[bytes]) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://lumen.test/v1", http_client=http_client(dialect, reads))


def test_a_chat_stream_with_a_made_usage_chunk() -> None:
    reads = [chunk({"role": "assistant", "content": "Hello"}), chunk(finish="stop", usage=CHAT_USAGE), DONE]
    client = openai_client(Dialect.OPENAI_CHAT, reads)
    chunks = list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert "".join(choice.delta.content or "" for part in chunks for choice in part.choices) == "Hello"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 17
    assert {part.id for part in chunks} == {"chatcmpl-1"}


def test_a_responses_stream() -> None:
    client = openai_client(Dialect.OPENAI_RESPONSES, STREAMS[Dialect.OPENAI_RESPONSES])
    events = list(client.responses.create(model="m", input="x", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage is not None
    assert events[-1].response.usage.total_tokens == 17


def test_an_anthropic_stream() -> None:
    client = anthropic.Anthropic(
        auth_token="k",
        base_url="http://lumen.test",
        http_client=http_client(Dialect.ANTHROPIC_MESSAGES, STREAMS[Dialect.ANTHROPIC_MESSAGES]),
    )
    with client.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (12, 5)
