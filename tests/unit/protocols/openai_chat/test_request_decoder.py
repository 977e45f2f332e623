"""What a client's request comes to mean."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.canonical.content import (
    Audio,
    CacheMark,
    Document,
    Extras,
    FileId,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
    Url,
)
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Role,
    Sampling,
    Thinking,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.request_decoder import decode_request
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.seals import client_call_id
from tests.unit.protocols.openai_chat.wire import USER, USER_TURN, assistant, body, decoded, user


def call(call_id: str = "call_1", name: str = "f", arguments: str = "{}", **members: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **members}


def test_leading_system_and_developer_messages_are_the_system_texts() -> None:
    request = decoded(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
        USER,
    )
    assert request.system == (Text("one"), Text("two"), Text("three"))
    assert request.turns == (USER_TURN,)


def test_a_system_message_in_mid_conversation_stays_in_its_place() -> None:
    request = decoded(USER, {"role": "developer", "content": "be brief"}, {"role": "user", "content": "go on"})
    assert [turn.role for turn in request.turns] == [Role.USER, Role.SYSTEM, Role.USER]
    assert request.system == ()


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_empty_text_is_kept_where_it_is_all_there_is(role: str) -> None:
    request = decoded({"role": role, "content": ""}, USER)
    blocks = request.system or request.turns[0].content
    assert blocks == (Text(""),)


def test_an_assistant_without_content_is_an_empty_turn() -> None:
    assert decoded(USER, {"role": "assistant", "content": None}).turns[1] == assistant()


def test_empty_text_beside_tool_calls_is_none() -> None:
    request = decoded(USER, {"role": "assistant", "content": "", "tool_calls": [call()]})
    assert request.turns[1] == assistant(ToolCall("call_1", "f", "{}"))


def test_names_and_unknown_members_of_messages_are_kept() -> None:
    request = decoded({"role": "user", "content": "hi", "name": "ann", "partial": True})
    assert request.turns == (Turn(Role.USER, (Text("hi"),), "ann", Extras(Dialect.OPENAI_CHAT, {"partial": True})),)


PNG = Inline("image/png", "AAAA")


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "x"}, Text("x")),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, Image(PNG)),
        (
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            Image(Url("https://x/y.png"), "low"),
        ),
        ({"type": "image_url", "image_url": "https://x/y.png"}, Image(Url("https://x/y.png"))),
        ({"type": "image_url", "image_url": {"url": "data:text/plain,%41"}}, Image(Inline("text/plain", "QQ=="))),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}, Audio(Inline("audio/mp3", "AAAA"))),
        ({"type": "input_audio", "input_audio": {"data": "data:;base64,AAAA"}}, Audio(Inline("audio/wav", "AAAA"))),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            Document(Inline("application/pdf", "AAAA"), "a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "AAAA"}}, Document(Inline("application/pdf", "AAAA"))),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(FileId("file-1"))),
        (
            {"type": "video_url", "video_url": {"url": "https://x"}},
            Opaque(Dialect.OPENAI_CHAT, "video_url", {"type": "video_url", "video_url": {"url": "https://x"}}),
        ),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text(
                "x",
                cache=CacheMark("1h"),
                extras=Extras(Dialect.OPENAI_CHAT, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
            ),
        ),
    ],
)
def test_content_parts(part: dict[str, Any], block: Any) -> None:
    assert decoded({"role": "user", "content": [part]}).turns == (user(block),)


def test_an_assistant_turn_has_thinking_text_refusal_and_calls_in_this_order() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        "reasoning_content": "hm",
        "refusal": "no",
        "tool_calls": [call(arguments="")],
        "annotations": [],
        "audio": None,
    }
    blocks = (Reasoning("hm"), Text("a"), Refusal("b"), Refusal("no"), ToolCall("call_1", "f", ""))
    assert decoded(USER, message).turns[1] == assistant(*blocks)


def test_reasoning_under_its_other_name() -> None:
    assert decoded(USER, {"role": "assistant", "content": "a", "reasoning": "hm"}).turns[1] == assistant(
        Reasoning("hm"), Text("a")
    )


def test_a_seal_comes_back_out_of_the_call_id() -> None:
    seal = Seal("google", "c2ln")
    client_id = client_call_id("up-1", seal, "call_")
    request = decoded(
        USER,
        {"role": "assistant", "tool_calls": [call(client_id)]},
        {"role": "tool", "tool_call_id": client_id, "content": "r"},
    )
    assert request.turns[1:] == (
        assistant(ToolCall("up-1", "f", "{}", seal=seal)),
        user(ToolResult("up-1", (Text("r"),))),
    )


def test_googles_own_place_for_a_signature_is_read() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    request = decoded(USER, {"role": "assistant", "tool_calls": [call(extra_content=extra)]})
    assert request.turns[1].content == (ToolCall("call_1", "f", "{}", seal=Seal("google", "c2ln")),)


def test_custom_calls_and_their_results() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}
    request = decoded(
        USER, {"role": "assistant", "tool_calls": [custom]}, {"role": "tool", "tool_call_id": "call_1", "content": "r"}
    )
    assert request.turns[1:] == (
        assistant(ToolCall("call_1", "sh", "ls -l", ToolKind.CUSTOM)),
        user(ToolResult("call_1", (Text("r"),), kind=ToolKind.CUSTOM)),
    )


def test_tool_results_take_text_parts_and_images() -> None:
    parts = [{"type": "text", "text": "r"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    request = decoded(USER, {"role": "tool", "tool_call_id": "call_1", "content": parts})
    assert request.turns[1] == user(ToolResult("call_1", (Text("r"), Image(PNG))))


def test_legacy_functions_become_tools_and_their_messages_pair_up() -> None:
    request = decoded(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "one"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "two"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert request.is_legacy_functions
    assert request.parallel_tool_calls is False
    assert request.tools == (FunctionTool("f", parameters={"type": "object"}),)
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NAMED, ("f",))
    assert request.turns[1:] == (
        assistant(ToolCall("call_function_0", "f", "{}")),
        user(ToolResult("call_function_0", (Text("one"),))),
        assistant(ToolCall("call_function_1", "f", '{"a":1}')),
        user(ToolResult("call_function_1", (Text("two"),))),
    )


def test_tools_of_every_kind() -> None:
    grammar = {"syntax": "lark", "definition": "start: X"}
    request = decoded(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}},
            {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": grammar}}},
            {"type": "web_search", "web_search": {"enable": True}},
        ]
    )
    assert request.tools == (
        FunctionTool("f", "d", {}, True),
        CustomTool("c", format={"type": "grammar", **grammar}),
        OpaqueTool(Dialect.OPENAI_CHAT, "web_search", {"type": "web_search", "web_search": {"enable": True}}),
    )


@pytest.mark.parametrize(
    ("choice", "meaning"),
    [
        ("auto", ToolChoice(ToolChoiceMode.AUTO)),
        ("none", ToolChoice(ToolChoiceMode.NONE)),
        ("required", ToolChoice(ToolChoiceMode.REQUIRED)),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(ToolChoiceMode.NAMED, ("f",))),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice(ToolChoiceMode.NAMED, ("c",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "name": "c"}],
                },
            },
            ToolChoice(ToolChoiceMode.REQUIRED, ("f", "c")),
        ),
    ],
)
def test_tool_choice(choice: Any, meaning: ToolChoice) -> None:
    assert decoded(tools=[], tool_choice=choice).tool_choice == meaning


@pytest.mark.parametrize(
    ("form", "meaning"),
    [
        ({"type": "text"}, OutputFormat(OutputKind.TEXT)),
        ({"type": "json_object"}, OutputFormat(OutputKind.JSON)),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
            OutputFormat(OutputKind.SCHEMA, "n", None, {"type": "object"}, True),
        ),
    ],
)
def test_response_format(form: dict[str, Any], meaning: OutputFormat) -> None:
    assert decoded(response_format=form).output == meaning


def test_parameters() -> None:
    request = decoded(
        temperature=0,
        top_p=0.5,
        seed=7,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={"1": -100},
        logprobs=True,
        top_logprobs=2,
        stop="END",
        n=3,
        max_tokens=10,
        max_completion_tokens=20,
        reasoning_effort="minimal",
        verbosity="low",
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        metadata={"a": "b"},
        service_tier="flex",
        modalities=["text"],
        parallel_tool_calls=False,
    )
    assert request.sampling == Sampling(0, 0.5, None, 7, 1, -1, {"1": -100}, True, 2, ("END",), 3)
    assert request.max_output_tokens == 20
    assert request.thinking == Thinking(effort="minimal")
    assert (request.verbosity, request.user, request.prompt_cache_key) == ("low", "s", "k")
    assert (request.metadata, request.service_tier, request.modalities) == ({"a": "b"}, "flex", ("text",))
    assert request.parallel_tool_calls is False
    assert request.extras is None


def test_temperature_zero_is_not_absent_and_null_is() -> None:
    assert decoded(temperature=0).sampling.temperature == 0
    assert decoded(temperature=None, tools=None, stop=None) == decoded()


def test_unknown_members_become_extras_and_stream_options_lose_what_the_caller_reads() -> None:
    request = decoded(
        prediction={"type": "content", "content": "x"},
        store=False,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
    )
    assert request.extras == Extras(
        Dialect.OPENAI_CHAT,
        {
            "prediction": {"type": "content", "content": "x"},
            "store": False,
            "stream_options": {"include_obfuscation": False},
        },
    )


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": "https://x"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        ({"messages": [{"role": "function", "content": "x", "name": "f"}]}, "messages[0].role", None),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[0].tool_calls[0].function",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
            "messages[0].content[0].image_url",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages[0].content[0].file.file_id",
            "missing_required_parameter",
        ),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type", "missing_required_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
        ({"tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"function_call": "required"}, "function_call", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"seed": 1.5}, "seed", "invalid_type"),
        ({"logprobs": 1}, "logprobs", "invalid_type"),
        ({"stop": [1]}, "stop[0]", "invalid_type"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"model": 5}, "model", "invalid_type"),
    ],
)
def test_what_is_malformed_is_refused_in_openais_words(members: dict[str, Any], param: str, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request({**body(), **members})
    assert (caught.value.param, caught.value.code) == (param, code)


def test_wording_of_a_wrong_role() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decoded({"role": "robot", "content": "x"})
    assert caught.value.message == (
        "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and"
        " 'developer'."
    )


@pytest.mark.parametrize(
    ("missing", "message"),
    [("model", "you must provide a model parameter"), ("messages", "Missing required parameter: 'messages'.")],
)
def test_missing_members(missing: str, message: str) -> None:
    members = body()
    del members[missing]
    with pytest.raises(InvalidRequest) as caught:
        decode_request(members)
    assert caught.value.message == message
