"""Single answers and their usage; citations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols.answer import answer_text_bytes, read_answer
from lumen.protocols.canonical.content import Citation, Text
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.canonical.response import Response
from lumen.protocols.dialects import Dialect
from lumen.protocols.error_kinds import ErrorKind
from lumen.protocols.gemini_generate.response_decoder import decode_response
from lumen.protocols.gemini_generate.usage import decode_usage
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.gemini_generate.chunks import chunk, decode, frames, text


def read(answer: Any) -> Response:
    return decode_response(json.dumps(answer).encode(), "google")


def test_a_plain_answer() -> None:
    response = read(chunk(text("Hello"), finish="STOP"))
    assert response == Response(
        "r1",
        "gemini-3-pro",
        (Text("Hello"),),
        FinishReason.STOP,
        "STOP",
        usage=TokenUsage(input=12, output=5, reasoning=2),
    )


def test_the_output_cap_spent_on_thoughts_leaves_no_parts() -> None:
    answer = chunk(finish="MAX_TOKENS")
    answer["usageMetadata"] = {"promptTokenCount": 5, "thoughtsTokenCount": 100, "totalTokenCount": 105}
    response = read(answer)
    assert (response.blocks, response.finish) == ((), FinishReason.LENGTH)
    assert response.usage == TokenUsage(input=5, output=100, reasoning=100)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"7",
        b"",
        b"{}",
        b'{"candidates":[]}',
        json.dumps(chunk(text("a"))).encode(),
        json.dumps(chunk(finish="MALFORMED_FUNCTION_CALL")).encode(),
        b'{"error":{"code":500,"message":"no"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_complete_answer_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_response(body, "google")


def test_grounding_becomes_citations_with_offsets_in_characters() -> None:
    said = "Zürich hat Sonne. Bern nicht."
    supports = [
        {"segment": {"endIndex": 18, "text": "Zürich hat Sonne."}, "groundingChunkIndices": [0, 1]},
        {"segment": {"startIndex": 19, "endIndex": 30, "text": "Bern nicht."}, "groundingChunkIndices": [1, 9]},
    ]
    chunks = [{"web": {"uri": "https://a.example", "title": "A"}}, {"web": {"uri": "https://b.example", "title": "B"}}]
    grounding = {"groundingSupports": supports, "groundingChunks": chunks}
    answer = chunk(text(said), finish="STOP", groundingMetadata=grounding)
    [block] = read(answer).blocks
    assert isinstance(block, Text)
    found = [(c.url, c.title, c.cited_text, c.start, c.end) for c in block.citations]
    assert found == [
        ("https://a.example", "A", "Zürich hat Sonne.", 0, 17),
        ("https://b.example", "B", "Zürich hat Sonne.", 0, 17),
        ("https://b.example", "B", "Bern nicht.", 18, 29),
    ]


def test_grounding_repeated_in_a_stream_is_cited_once() -> None:
    grounding = {
        "groundingSupports": [{"segment": {"endIndex": 1, "text": "a"}, "groundingChunkIndices": [0]}],
        "groundingChunks": [{"web": {"uri": "https://a.example"}}],
    }
    payloads = [chunk(text("a"), groundingMetadata=grounding), chunk(finish="STOP", groundingMetadata=grounding)]
    citations = [event for event in decode(frames(payloads)) if type(event).__name__ == "CitationAdded"]
    assert len(citations) == 1


def test_a_recitation_is_cited() -> None:
    citation = {"startIndex": 0, "endIndex": 3, "uri": "https://a.example", "license": "MIT"}
    [block] = read(chunk(text("abc"), finish="STOP", citationMetadata={"citationSources": [citation]})).blocks
    assert isinstance(block, Text)
    [found] = block.citations
    assert (found.url, found.start, found.end) == ("https://a.example", 0, 3)
    assert isinstance(found, Citation)


def test_offsets_that_do_not_fit_the_text_are_left_out() -> None:
    supports = [{"segment": {"endIndex": 99, "text": "zzz"}, "groundingChunkIndices": [0]}]
    grounding = {"groundingSupports": supports, "groundingChunks": [{"web": {"uri": "https://a.example"}}]}
    [block] = read(chunk(text("abc"), finish="STOP", groundingMetadata=grounding)).blocks
    assert isinstance(block, Text)
    assert (block.citations[0].start, block.citations[0].cited_text) == (None, "zzz")


@pytest.mark.parametrize(
    ("members", "usage"),
    [
        pytest.param(
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 140,
            },
            TokenUsage(input=40, cache_read=60, output=40, reasoning=30),
            id="thoughts are beside the candidates, cached tokens inside the prompt",
        ),
        pytest.param(
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 25,
                "candidatesTokenCount": 5,
                "totalTokenCount": 40,
            },
            TokenUsage(input=35, output=5),
            id="results of server tools are input",
        ),
        pytest.param(
            {
                "promptTokenCount": 400,
                "cachedContentTokenCount": 120,
                "candidatesTokenCount": 50,
                "totalTokenCount": 450,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 42},
                    {"modality": "AUDIO", "tokenCount": 100},
                    {"modality": "IMAGE", "tokenCount": 258},
                ],
                "cacheTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 100},
                    {"modality": "TEXT", "tokenCount": 20},
                ],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 45}],
            },
            TokenUsage(input=22, cache_read=120, output=5, audio_input=0, audio_output=45, image_input=258),
            id="modalities, of which the cached audio counts as cached",
        ),
        pytest.param(
            {"promptTokenCount": 7, "totalTokenCount": 7}, TokenUsage(input=7, output=0), id="no output by the total"
        ),
        pytest.param({"promptTokenCount": 7}, TokenUsage(input=7), id="output not reported"),
        pytest.param(
            {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 15},
            TokenUsage(input=7, output=8, reasoning=5),
            id="thoughts in the total only",
        ),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_usage(members: dict[str, Any], usage: TokenUsage | None) -> None:
    reading = decode_usage(members)
    assert reading.usage == usage
    assert reading.anomalies == 0


@pytest.mark.parametrize(
    "members",
    [
        {"promptTokenCount": 5, "cachedContentTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 6},
        {"promptTokenCount": 5, "candidatesTokenCount": -1, "totalTokenCount": 5},
        {"promptTokenCount": "5", "candidatesTokenCount": 1},
        {"promptTokenCount": 5, "candidatesTokenCount": 1, "thoughtsTokenCount": 1, "totalTokenCount": 99},
        {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 6},
    ],
)
def test_usage_that_does_not_add_up_is_an_anomaly(members: dict[str, Any]) -> None:
    reading = decode_usage(members)
    assert reading.anomalies == 1
    assert reading.usage is not None
    assert reading.usage.prompt_tokens() >= 0


def test_an_answer_is_read_without_decoding_its_parts() -> None:
    body = json.dumps(chunk(text("Hello"), finish="STOP")).encode()
    answer = read_answer(Dialect.GEMINI_GENERATE, body)
    assert (answer.finish_reason, answer.response_id, answer.error) == ("STOP", "r1", None)
    assert answer.usage == TokenUsage(input=12, output=5, reasoning=2)
    assert answer_text_bytes(Dialect.GEMINI_GENERATE, body) == 5


def test_a_blocked_prompts_reason_is_read() -> None:
    answer = read_answer(Dialect.GEMINI_GENERATE, b'{"promptFeedback":{"blockReason":"SAFETY"}}')
    assert (answer.finish_reason, answer.usage) == ("SAFETY", None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("UNAVAILABLE", ErrorKind.OVERLOADED),
        ("RESOURCE_EXHAUSTED", ErrorKind.RATE_LIMIT),
        ("DEADLINE_EXCEEDED", ErrorKind.UPSTREAM_TIMEOUT),
        ("INVALID_ARGUMENT", ErrorKind.INVALID_REQUEST),
        ("INTERNAL", ErrorKind.UPSTREAM_FAILED),
    ],
)
def test_an_error_within_a_200(status: str, kind: ErrorKind) -> None:
    body = json.dumps({"error": {"code": 500, "message": "no", "status": status}}).encode()
    error = read_answer(Dialect.GEMINI_GENERATE, body).error
    assert error is not None
    assert (error.api_error().kind, error.api_error().message) == (kind, "no")
