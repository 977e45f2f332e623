"""Turns of any dialect as the messages of this one."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.canonical.content import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
    Url,
)
from lumen.protocols.canonical.request import Role, Turn
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.openai_chat.wire import assistant, messages, request, target, user

PNG = Inline("image/png", "AAAA")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RELATIVES = ("deepseek", "moonshot", "zhipu", "minimax", "qwen", "somebody")


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def call(number: int, name: str = "f", **members: Any) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": "{}"}, **members}


def result(number: int, said: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": said}


def call_block(number: int, **members: Any) -> ToolCall:
    return ToolCall(f"call_{number}", "f", "{}", **members)


def result_block(number: int, *content: Any, **members: Any) -> ToolResult:
    return ToolResult(f"call_{number}", content or (Text(f"r{number}"),), **members)


def test_several_system_texts_are_parts_for_openai_and_one_string_for_relatives() -> None:
    asked = request(system=(Text("a"), Text("b")))
    assert messages(asked)[0] == {"role": "system", "content": [text("a"), text("b")]}
    assert messages(asked, "deepseek")[0] == {"role": "system", "content": "a\n\nb"}


def test_parallel_results_come_right_after_their_calls_and_text_after_them() -> None:
    asked = request(
        user(Text("go")),
        assistant(Text("ok"), call_block(1), call_block(2)),
        user(Text("and now?"), result_block(1), result_block(2)),
    )
    assert messages(asked) == [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "ok", "tool_calls": [call(1), call(2)]},
        result(1, "r1"),
        result(2, "r2"),
        {"role": "user", "content": "and now?"},
    ]


def test_results_in_turns_of_their_own_are_not_torn_apart_by_a_system_turn_or_images() -> None:
    asked = request(
        assistant(call_block(1), call_block(2)),
        user(result_block(1, Text("shot"), Image(PNG))),
        Turn(Role.SYSTEM, (Text("be brief"),)),
        user(result_block(2)),
    )
    assert messages(asked) == [
        {"role": "assistant", "content": None, "tool_calls": [call(1), call(2)]},
        result(1, [text("shot"), text("(The result's images and files follow in the next user message.)")]),
        result(2, "r2"),
        {"role": "user", "content": [text("Of the result of tool call call_1:"), IMAGE]},
        {"role": "system", "content": "be brief"},
    ]


def test_a_result_of_an_image_alone_says_where_it_is() -> None:
    said = messages(request(assistant(call_block(1)), user(result_block(1, Image(PNG)))), "zhipu")
    assert said[1] == result(1, "(The result's images and files follow in the next user message.)")
    assert said[2]["content"][1] == IMAGE


@pytest.mark.parametrize(
    ("content", "said"), [((Text("no such file"),), "Error: no such file"), ((), "Error:"), ((Text(""),), "Error:")]
)
def test_a_failed_result_says_so(content: tuple[Any, ...], said: str) -> None:
    failed = ToolResult("call_1", content, is_error=True)
    assert messages(request(assistant(call_block(1)), user(failed)))[1] == result(1, said)


def test_an_empty_result_is_empty_text() -> None:
    assert messages(request(user(ToolResult("call_1", ()))))[0] == result(1, "")


def test_assistant_turns_of_one_step_become_one_message() -> None:
    asked = request(
        user(Text("go")),
        assistant(Reasoning("hm")),
        assistant(Text("ok")),
        assistant(call_block(1)),
        assistant(call_block(2)),
        user(result_block(1)),
        user(result_block(2)),
    )
    assert messages(asked, "deepseek")[1:] == [
        {"role": "assistant", "content": "ok", "reasoning_content": "hm", "tool_calls": [call(1), call(2)]},
        result(1, "r1"),
        result(2, "r2"),
    ]


def test_assistant_turns_with_text_of_their_own_stay_apart() -> None:
    said = messages(request(assistant(Text("a")), assistant(Text("b"))))
    assert [message["content"] for message in said] == ["a", "b"]


@pytest.mark.parametrize("issuer", ["openai", "google"])
def test_thinking_is_not_sent_to_those_who_do_not_take_it(issuer: str) -> None:
    to = target(issuer)
    said = messages(request(assistant(Reasoning("hm"), Text("a"))), to)
    assert said == [{"role": "assistant", "content": "a"}]
    assert to.dropped == ["reasoning_signature"]


@pytest.mark.parametrize("issuer", RELATIVES)
def test_thinking_goes_back_to_relatives(issuer: str) -> None:
    said = messages(request(assistant(Reasoning("hm"), Text("a"))), issuer)
    assert said == [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]


def test_thinking_of_another_vendor_is_kept_from_them() -> None:
    to = target("deepseek")
    foreign = Reasoning("claude's", Seal("anthropic", "sig"))
    own = Reasoning("mine", Seal("deepseek", "sig"))
    said = messages(request(assistant(foreign, own, Text("a"))), to)
    assert said == [{"role": "assistant", "content": "a", "reasoning_content": "mine"}]
    assert to.dropped == ["reasoning_signature"]


def test_thinking_that_goes_back_to_its_own_vendor_is_no_loss() -> None:
    to = target("deepseek")
    messages(request(assistant(Reasoning("mine", Seal("deepseek", "sig")), Text("a"))), to)
    assert to.dropped == []


def test_a_turn_of_nothing_but_dropped_thinking_leaves_no_message() -> None:
    redacted = Reasoning("", Seal("anthropic", "x"), is_redacted=True)
    said = messages(request(user(Text("a")), assistant(redacted), user(Text("b"))), "deepseek")
    assert [message["content"] for message in said] == ["a", "b"]


@pytest.mark.parametrize(("issuer", "reasoning"), [("deepseek", " "), ("moonshot", " "), ("zhipu", None)])
def test_beside_tool_calls_every_message_has_thinking_where_it_is_demanded(issuer: str, reasoning: str | None) -> None:
    said = messages(request(assistant(call_block(1)), user(result_block(1)), assistant(Text("a"))), issuer)
    assert [message.get("reasoning_content") for message in said] == [reasoning, None, reasoning]
    assert "reasoning_content" not in messages(request(assistant(Text("a"))), issuer)[0]


def test_empty_texts_are_sent_as_they_are() -> None:
    said = messages(request(assistant(Text("")), user(), system=(Text(""),)))
    assert said == [
        {"role": "system", "content": ""},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": ""},
    ]


@pytest.mark.parametrize(("issuer", "role"), [("openai", "system"), ("deepseek", "system"), ("qwen", "user")])
def test_a_late_system_turn_is_a_marked_user_message_where_only_the_first_may_be_one(issuer: str, role: str) -> None:
    late = messages(request(user(Text("a")), Turn(Role.SYSTEM, (Text("b"),))), issuer)[1]
    assert late == {"role": role, "content": "b" if role == "system" else "<system>\nb\n</system>"}


def test_names_are_kept() -> None:
    assert messages(request(Turn(Role.USER, (Text("a"),), "ann")))[0]["name"] == "ann"


@pytest.mark.parametrize(
    ("issuer", "message"),
    [
        ("openai", {"role": "assistant", "content": None, "refusal": "I will not."}),
        ("deepseek", {"role": "assistant", "content": "I will not."}),
    ],
)
def test_a_refusal_does_not_vanish_from_the_history(issuer: str, message: dict[str, Any]) -> None:
    assert messages(request(assistant(Refusal("I will not."))), issuer) == [message]


def test_calls_without_arguments_have_an_empty_object() -> None:
    said = messages(request(assistant(ToolCall("call_1", "f", ""))))
    assert said[0]["tool_calls"] == [call(1)]


def test_custom_calls() -> None:
    asked = request(assistant(ToolCall("call_1", "c", "ls", ToolKind.CUSTOM)))
    assert messages(asked)[0]["tool_calls"] == [
        {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "ls"}}
    ]
    function = messages(asked, "qwen")[0]["tool_calls"][0]["function"]
    assert function == {"name": "c", "arguments": '{"input":"ls"}'}


def test_calls_of_a_namespace_have_the_name_their_tool_was_sent_under() -> None:
    said = messages(request(assistant(ToolCall("call_1", "run", "{}", namespace="box"))))
    assert said[0]["tool_calls"] == [call(1, "box__run")]


def test_a_thought_signature_goes_back_to_google_only() -> None:
    asked = request(assistant(call_block(1, seal=Seal("google", "c2ln")), call_block(2)))
    content = {"google": {"thought_signature": "c2ln"}}
    assert messages(asked, "google")[0]["tool_calls"] == [call(1, extra_content=content), call(2)]
    to = target()
    assert messages(asked, to)[0]["tool_calls"] == [call(1), call(2)]
    assert to.dropped == ["reasoning_signature"]


def test_google_gets_the_documented_skip_value_where_the_history_has_no_signature() -> None:
    said = messages(request(assistant(call_block(1), call_block(2))), "google")[0]["tool_calls"]
    assert said == [
        call(1, extra_content={"google": {"thought_signature": "skip_thought_signature_validator"}}),
        call(2),
    ]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (Image(Url("https://x"), "low"), {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}),
        (Image(PNG), IMAGE),
        (
            Audio(Inline("audio/mpeg", "AAAA")),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            Document(Inline("application/pdf", "AAAA")),
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        ),
        (Document(PlainText("body"), "title", "context"), text("title\n\ncontext\n\nbody")),
    ],
)
def test_media(block: Block, part: dict[str, Any]) -> None:
    assert messages(request(user(Text("x"), block)))[0]["content"] == [text("x"), part]


@pytest.mark.parametrize(
    ("block", "feature"),
    [
        (Document(Url("https://x/a.pdf")), "document_url"),
        (Document(FileId("file_1")), "file_id"),
        (Image(FileId("file_1")), "file_id"),
    ],
)
def test_media_that_cannot_be_sent_is_refused(block: Block, feature: str) -> None:
    with pytest.raises(Unsupported) as caught:
        messages(request(user(block)))
    assert caught.value.feature == feature


def test_blocks_only_another_dialect_knows_are_dropped() -> None:
    to = target()
    search = Opaque(Dialect.ANTHROPIC_MESSAGES, "server_tool_use", {"type": "server_tool_use"})
    said = messages(request(user(Text("a")), assistant(search, Text("b", (Citation("https://x"),)))), to)
    assert said == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert to.dropped == ["opaque_blocks", "citations"]


def test_cache_marks_on_calls_and_results_are_noted() -> None:
    to = target()
    messages(request(assistant(call_block(1, cache=CacheMark())), user(result_block(1, cache=CacheMark()))), to)
    assert to.dropped == ["cache_control"]


def test_think_tags_in_text_are_text() -> None:
    said = messages(request(assistant(Text("<think>a</think>b"))), "minimax")
    assert said == [{"role": "assistant", "content": "<think>a</think>b"}]
