"""Chat Completions streams: choices, the usage chunk, `[DONE]`."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_tap import StreamTap
from tests.unit.protocols import frames
from tests.unit.protocols.frames import CHAT_USAGE, DONE, chunk, payloads, sse, usage_chunk

TEXT = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"})]
FINISH = chunk(finish="stop")
USAGE = TokenUsage(input=12, output=5)


def run(reads: list[bytes], **options: Any) -> tuple[StreamTap, bytes]:
    return frames.run(Dialect.OPENAI_CHAT, reads, **options)


def assert_ends_with_one_usage_chunk(tap: StreamTap, relayed: bytes, usage: dict[str, Any] = CHAT_USAGE) -> None:
    events = payloads(relayed + tap.held)
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == usage
    assert sum(event != "[DONE]" and event["choices"] == [] for event in events) == 1
    assert events.count("[DONE]") == 1


def test_usage_in_its_own_chunk_is_the_providers_own_bytes() -> None:
    tap, relayed = run([*TEXT, FINISH, usage_chunk(), DONE])
    assert tap.held == FINISH + usage_chunk() + DONE
    assert_ends_with_one_usage_chunk(tap, relayed)
    assert tap.usage == USAGE


def test_usage_on_the_finish_chunk_gets_a_chunk_of_its_own() -> None:
    finish = chunk(finish="stop", usage=CHAT_USAGE)
    tap, relayed = run([*TEXT, finish, DONE])
    assert tap.held.startswith(finish)
    assert_ends_with_one_usage_chunk(tap, relayed)
    assert payloads(tap.held)[1] == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "m-1",
        "choices": [],
        "usage": CHAT_USAGE,
    }
    assert tap.usage == USAGE


def test_usage_inside_the_choice_gets_a_chunk_of_its_own() -> None:
    usage = {**CHAT_USAGE, "cached_tokens": 2}
    finish = sse({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]})
    tap, relayed = run([*TEXT, finish, DONE])
    assert tap.usage == TokenUsage(input=10, cache_read=2, output=5)
    assert_ends_with_one_usage_chunk(tap, relayed, usage)


def test_of_usage_on_every_chunk_the_last_counts() -> None:
    growing = [chunk({"content": "x"}, usage={**CHAT_USAGE, "completion_tokens": count}) for count in range(4)]
    tap, relayed = run([*growing, chunk(finish="stop", usage=CHAT_USAGE), DONE])
    assert relayed == b"".join(growing)
    assert tap.usage == USAGE
    assert_ends_with_one_usage_chunk(tap, relayed)


def test_a_usage_chunk_before_the_finish_is_moved_to_the_end() -> None:
    tap, relayed = run([*TEXT, usage_chunk(), FINISH, DONE])
    assert relayed == b"".join(TEXT)
    assert tap.held == FINISH + usage_chunk() + DONE
    assert tap.usage == USAGE


def test_of_several_usage_chunks_the_client_gets_the_last() -> None:
    early = usage_chunk({**CHAT_USAGE, "completion_tokens": 1})
    tap, relayed = run([*TEXT, early, FINISH, early, usage_chunk(), DONE])
    assert_ends_with_one_usage_chunk(tap, relayed)


def test_no_usage_at_all_makes_none_up() -> None:
    tap, _ = run([*TEXT, FINISH, DONE])
    assert tap.usage is None
    assert tap.held == FINISH + DONE
    assert tap.is_complete


def test_supplied_usage_becomes_the_usage_chunk() -> None:
    tap, relayed = run([*TEXT, FINISH, DONE])
    tap.supply_usage(TokenUsage(input=7, cache_read=3, output=5, reasoning=1))
    details = {"prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 1}}
    assert_ends_with_one_usage_chunk(
        tap, relayed, {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **details}
    )


@pytest.mark.parametrize("finish", [FINISH, chunk(finish="stop", usage=CHAT_USAGE)])
def test_a_client_that_declined_usage_gets_no_usage_chunk(finish: bytes) -> None:
    tap, relayed = run([*TEXT, finish, usage_chunk(), DONE], suppress_usage_chunk=True)
    assert relayed + tap.held == b"".join(TEXT) + finish + DONE
    assert tap.usage == USAGE


def test_usage_null_with_spaces_is_ordinary() -> None:
    spaced = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}], "usage": null}\n\n'
    tap, relayed = run([*TEXT, spaced, FINISH, DONE])
    assert spaced in relayed
    assert tap.usage is None
    assert tap.anomalies == 0


def test_an_empty_finish_reason_is_none() -> None:
    reads = [chunk({"content": "a"}, finish=""), chunk({"content": "b"}, finish=""), FINISH, DONE]
    tap, relayed = run(reads)
    assert relayed == b"".join(reads[:2])
    assert tap.finish_reason == "stop"


def test_whole_answer_finish_and_usage_in_one_chunk_is_held_whole() -> None:
    only = chunk({"role": "assistant", "content": "Hello"}, finish="tool_calls", usage=CHAT_USAGE)
    tap, relayed = run([b": hi\n\n" + only + DONE])
    assert relayed == b""
    assert tap.held.startswith(b": hi\n\n" + only)
    assert tap.finish_reason == "tool_calls"
    assert tap.output_bytes == 5
    assert_ends_with_one_usage_chunk(tap, relayed)


def test_done_may_be_missing_and_is_added() -> None:
    tap, relayed = run([*TEXT, FINISH, usage_chunk()])
    assert tap.is_complete
    assert not tap.is_ended
    assert tap.held == FINISH + usage_chunk() + DONE
    assert_ends_with_one_usage_chunk(tap, relayed)


def test_done_without_a_finish_reason_is_held() -> None:
    tap, relayed = run([*TEXT, DONE])
    assert relayed == b"".join(TEXT)
    assert tap.held == DONE
    assert tap.is_complete
    assert tap.finish_reason is None


def test_nothing_follows_done() -> None:
    tap, _ = run([*TEXT, FINISH + DONE + DONE + chunk({"content": "late"})])
    assert tap.held == FINISH + DONE


def test_other_choices_keep_flowing_until_all_are_finished() -> None:
    reads = [
        chunk({"content": "a"}, index=0),
        chunk({"content": "b"}, index=1),
        chunk(finish="stop", index=0),
        chunk({"content": "more"}, index=1),
        chunk(finish="length", index=1),
        usage_chunk(),
        DONE,
    ]
    tap, relayed = run(reads, choices=2)
    assert relayed == b"".join(reads[:4])
    assert tap.held == b"".join(reads[4:])
    assert tap.finish_reason == "stop"


def test_both_choices_finishing_in_one_chunk_are_held() -> None:
    both = sse({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)]})
    tap, relayed = run([*TEXT, both, DONE], choices=2)
    assert relayed == b"".join(TEXT)
    assert tap.is_complete


def test_a_choice_that_finishes_twice_counts_once() -> None:
    reads = [chunk(finish="stop"), chunk(finish="stop"), chunk({"content": "b"}, index=1)]
    tap, relayed = run(reads, choices=2)
    assert relayed == b"".join(reads)
    assert not tap.is_complete


def test_a_provider_that_ignores_n_is_complete_with_done() -> None:
    tap, relayed = run([*TEXT, FINISH, usage_chunk(), DONE], choices=3)
    assert relayed == b"".join([*TEXT, FINISH])
    assert tap.held == usage_chunk() + DONE
    assert tap.is_complete


def test_an_error_after_the_answer_is_finished_is_no_failure() -> None:
    tap, _ = run([*TEXT, FINISH, sse({"error": {"message": "late"}})])
    assert tap.error is None
    assert tap.is_complete
    assert tap.anomalies == 1
    assert tap.held == FINISH + DONE


@pytest.mark.parametrize("error", ["boom", {"message": "boom", "code": 500}, {"code": "x", "message": "boom"}])
def test_errors_come_as_text_or_object(error: Any) -> None:
    tap, relayed = run([*TEXT, sse({"error": error})])
    assert relayed == b"".join(TEXT)
    assert tap.error is not None
    assert tap.error.said.message == "boom"


def test_error_null_is_no_error() -> None:
    tap, relayed = run([*TEXT, chunk({"content": "x"}, error=None), FINISH, DONE])
    assert tap.error is None
    assert tap.is_complete
    assert b'"error":null' in relayed


@pytest.mark.parametrize(
    "usage", ["12", 7, [], {"prompt_tokens": "12"}, {"prompt_tokens": -1, "completion_tokens": 1.5}]
)
def test_usage_of_the_wrong_shape_is_an_anomaly(usage: Any) -> None:
    tap, _ = run([*TEXT, chunk(finish="stop", usage=usage), DONE])
    assert tap.usage is None
    assert tap.anomalies >= (usage != [])
    assert tap.is_complete


@pytest.mark.parametrize("choices", [None, {}, "x", [1, None], [{"finish_reason": 5, "index": "a"}]])
def test_choices_of_the_wrong_shape_are_passed_on(choices: Any) -> None:
    odd = sse({"choices": choices, "finish_reason": "stop"})
    tap, relayed = run([*TEXT, odd, FINISH, DONE])
    assert odd in relayed
    assert tap.is_complete


@pytest.mark.parametrize("reads", [[DONE], [usage_chunk(), DONE], [b": comment\n\n", DONE]])
def test_a_stream_of_nothing_is_no_answer(reads: list[bytes]) -> None:
    tap, relayed = run(reads)
    assert (tap.is_complete, tap.is_ended, relayed) == (False, True, b"")


def test_text_without_a_finish_reason_is_an_answer() -> None:
    tap, _ = run([*TEXT, DONE])
    assert tap.is_complete
