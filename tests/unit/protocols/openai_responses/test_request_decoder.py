"""What a Responses client asks for, in the canonical model."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.canonical.content import (
    Audio,
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
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.request_decoder import decode_request
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.seals import client_call_id
from tests.unit.protocols.openai_responses.samples import CODEX_REQUEST, body, items

RESPONSES = Dialect.OPENAI_RESPONSES


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return items({"role": "user", "content": list(parts)})


def test_a_string_is_one_user_turn() -> None:
    (turn,) = decode_request(body()).turns
    assert (turn.role, turn.content) == (Role.USER, (Text("Hi"),))


def test_a_message_needs_no_type_and_may_be_a_string() -> None:
    (turn,) = decode_request(items({"role": "user", "content": "Hi"})).turns
    assert turn.content == (Text("Hi"),)


def test_instructions_and_leading_developer_messages_are_the_system_in_order() -> None:
    request = decode_request(
        items(
            {"role": "developer", "content": "two"},
            {"role": "system", "content": [{"type": "input_text", "text": "three"}]},
            {"role": "user", "content": "Hi"},
            {"role": "developer", "content": "later"},
            instructions="one",
        )
    )
    assert [text.text for text in request.system] == ["one", "two", "three"]
    assert [turn.role for turn in request.turns] == [Role.USER, Role.SYSTEM]


def test_a_developer_message_after_an_answer_is_no_leading_one() -> None:
    request = decode_request(items({"role": "assistant", "content": "a"}, {"role": "developer", "content": "b"}))
    assert request.system == ()
    assert [turn.role for turn in request.turns] == [Role.ASSISTANT, Role.SYSTEM]


def test_the_items_of_one_answer_are_one_turn() -> None:
    request = decode_request(CODEX_REQUEST)
    assert [turn.role for turn in request.turns] == [Role.USER, Role.ASSISTANT, Role.USER, Role.USER]
    reasoning, text, call, custom = request.turns[1].content
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.text, reasoning.seal) == ("", Seal("openai", "gAAAA=="))
    assert isinstance(text, Text)
    assert call == ToolCall("call_1", "read", "{}", namespace="files")
    assert custom == ToolCall("call_2", "apply_patch", "*** Begin", ToolKind.CUSTOM)


def test_tool_outputs_are_user_turns_with_one_result_each() -> None:
    *_, first, second = decode_request(CODEX_REQUEST).turns
    assert first.content == (ToolResult("call_1", (Text("text of a"),)),)
    assert second.content == (ToolResult("call_2", (Text("ok"),), kind=ToolKind.CUSTOM),)


def test_a_tool_output_may_hold_images_and_files() -> None:
    output = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_file", "file_url": "https://a.test/b.pdf"},
    ]
    (turn,) = decode_request(items({"type": "function_call_output", "call_id": "call_1", "output": output})).turns
    (result,) = turn.content
    assert isinstance(result, ToolResult)
    assert result.content == (
        Text("see"),
        Image(Inline("image/png", "AAAA")),
        Document(Url("https://a.test/b.pdf")),
    )


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "input_image", "image_url": "https://a.test/b.png"}, Image(Url("https://a.test/b.png"))),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"},
            Image(Inline("image/png", "AAAA"), "high"),
        ),
        ({"type": "input_image", "file_id": "file-1"}, Image(FileId("file-1"))),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            Document(Inline("application/pdf", "AAAA"), "a.pdf"),
        ),
        (
            {"type": "input_file", "filename": "a.csv", "file_data": "AAAA"},
            Document(Inline("text/csv", "AAAA"), "a.csv"),
        ),
        ({"type": "input_file", "file_id": "file-1"}, Document(FileId("file-1"))),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, Audio(Inline("audio/wav", "AAAA"))),
        ({"type": "newer_part", "x": 1}, Opaque(RESPONSES, "newer_part", {"type": "newer_part", "x": 1})),
    ],
)
def test_content_parts(part: dict[str, Any], block: Any) -> None:
    (turn,) = decode_request(user(part)).turns
    assert turn.content == (block,)


def test_an_assistant_message_keeps_its_refusal_and_its_own_members() -> None:
    parts = [{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "no"}]
    message = {"type": "message", "role": "assistant", "id": "msg_1", "phase": "commentary", "content": parts}
    (turn,) = decode_request(items(message)).turns
    text, refusal = turn.content
    assert isinstance(text, Text)
    assert text.extras == Extras(RESPONSES, {"message": {"id": "msg_1", "phase": "commentary"}})
    assert refusal == Refusal("no")


def test_reasoning_parts_are_joined_by_blank_lines() -> None:
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    (turn,) = decode_request(items({"type": "reasoning", "id": "rs_1", "summary": summary})).turns
    assert turn.content == (Reasoning("a\n\nb", extras=Extras(RESPONSES, {"id": "rs_1"})),)


def test_a_foreign_seal_comes_back_with_its_issuer() -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "lumen1.anthropic.Sig.na=="}
    (turn,) = decode_request(items(sealed)).turns
    assert turn.content == (Reasoning("", Seal("anthropic", "Sig.na==")),)


def test_a_call_id_gives_back_the_seal_it_carried() -> None:
    client_id = client_call_id("id 1", Seal("google", "sig"), "call_")
    call = {"type": "function_call", "call_id": client_id, "name": "f", "arguments": ""}
    output = {"type": "function_call_output", "call_id": client_id, "output": ""}
    answer, result = decode_request(items(call, output)).turns
    assert answer.content == (ToolCall("id 1", "f", "", seal=Seal("google", "sig")),)
    assert result.content == (ToolResult("id 1", (Text(""),)),)


@pytest.mark.parametrize("name", ["id", "call_id"])
def test_local_shell_calls_and_their_outputs(name: str) -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}}
    call = {"type": "local_shell_call", "call_id": "call_1", "action": action, "status": "completed"}
    output = {"type": "local_shell_call_output", name: "call_1", "output": "a b"}
    answer, result = decode_request(items(call, output)).turns
    (decoded,) = answer.content
    assert isinstance(decoded, ToolCall)
    assert (decoded.name, decoded.kind) == ("local_shell", ToolKind.LOCAL_SHELL)
    assert decoded.arguments == '{"type":"exec","command":["ls"],"env":{}}'
    assert result.content == (ToolResult("call_1", (Text("a b"),), kind=ToolKind.LOCAL_SHELL),)


@pytest.mark.parametrize("kind", ["web_search_call", "mcp_call", "compaction", "image_generation_call", "newer_item"])
def test_items_of_other_kinds_are_carried_as_they_are(kind: str) -> None:
    item = {"type": kind, "id": "x_1", "y": [1]}
    (turn,) = decode_request(items(item)).turns
    assert turn.content == (Opaque(RESPONSES, kind, item),)


def test_tools_of_a_namespace_are_flattened_and_others_kept() -> None:
    read, listing, patch, search, web = decode_request(CODEX_REQUEST).tools
    assert isinstance(read, FunctionTool)
    assert (read.name, read.namespace, read.strict) == ("read", "files", False)
    assert isinstance(listing, FunctionTool)
    assert listing.extras == Extras(RESPONSES, {"defer_loading": True})
    assert isinstance(patch, CustomTool)
    assert patch.format == {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    assert isinstance(search, OpaqueTool)
    assert isinstance(web, OpaqueTool)
    assert (search.kind, web.kind) == ("tool_search", "web_search")


def test_tools_handed_over_in_the_middle_are_tools_like_the_others() -> None:
    function = {"type": "function", "name": "g", "parameters": {}}
    late = {"type": "additional_tools", "role": "developer", "tools": [function]}
    request = decode_request(items({"role": "user", "content": "Hi"}, late, tools=[{**function, "name": "f"}]))
    assert [tool.name for tool in request.tools if isinstance(tool, FunctionTool)] == ["f", "g"]
    assert len(request.turns) == 1
    with pytest.raises(InvalidRequest) as refused:
        decode_request(items({**late, "tools": [{"type": "function"}]}))
    assert refused.value.param == "input[0].tools[0].name"


@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        ("auto", ToolChoiceMode.AUTO, ()),
        ("none", ToolChoiceMode.NONE, ()),
        ("required", ToolChoiceMode.REQUIRED, ()),
        ({"type": "function", "name": "f"}, ToolChoiceMode.NAMED, ("f",)),
        ({"type": "custom", "name": "c"}, ToolChoiceMode.NAMED, ("c",)),
        ({"type": "web_search_preview"}, ToolChoiceMode.NAMED, ("web_search_preview",)),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoiceMode.REQUIRED,
            ("f",),
        ),
    ],
)
def test_tool_choices(choice: Any, mode: ToolChoiceMode, names: tuple[str, ...]) -> None:
    decoded = decode_request(body(tool_choice=choice)).tool_choice
    assert decoded is not None
    assert (decoded.mode, decoded.names) == (mode, names)
    assert decoded.extras == (None if isinstance(choice, str) else Extras(RESPONSES, choice))


def test_a_plain_tool_choice_has_no_extras() -> None:
    assert decode_request(body(tool_choice="auto")).tool_choice == ToolChoice(ToolChoiceMode.AUTO)


def test_options_have_their_places_and_unknown_ones_are_kept() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    request = decode_request(
        body(
            temperature=0,
            top_p=0.5,
            top_logprobs=2,
            max_output_tokens=100,
            parallel_tool_calls=True,
            text={"format": schema, "verbosity": "high"},
            reasoning={"effort": "none", "summary": "detailed", "mode": "pro"},
            include=["message.output_text.logprobs", "reasoning.encrypted_content"],
            service_tier="flex",
            prompt_cache_key="k",
            metadata={"a": "b"},
            user="u",
            safety_identifier="s",
            truncation="auto",
            newer_option={"x": 2**70},
            stream_options={"include_obfuscation": False},
        )
    )
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_logprobs) == (0, 0.5, 2)
    assert request.output == OutputFormat(OutputKind.SCHEMA, "n", None, {"type": "object"}, True)
    assert (request.verbosity, request.service_tier, request.user) == ("high", "flex", "s")
    assert request.thinking is not None
    assert (request.thinking.effort, request.thinking.display, request.thinking.wants_sealed) == (
        "none",
        "detailed",
        True,
    )
    assert request.thinking.extras == Extras(RESPONSES, {"mode": "pro"})
    assert request.extras == Extras(
        RESPONSES,
        {
            "user": "u",
            "truncation": "auto",
            "newer_option": {"x": 2**70},
            "stream_options": {"include_obfuscation": False},
            "include": ["message.output_text.logprobs"],
        },
    )


def test_null_options_are_absent() -> None:
    names = ("tools", "tool_choice", "reasoning", "text", "include", "temperature", "metadata", "user", "store")
    decoded = decode_request(body(**dict.fromkeys(names)))
    assert decoded.thinking is None
    assert decoded.tools == ()
    assert decode_request(body(reasoning={"effort": None, "summary": None})).thinking is None


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"store": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
    ],
)
def test_what_needs_openais_store_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as refused:
        decode_request(body(**members))
    assert refused.value.feature == "stored_conversations"
    assert refused.value.param


@pytest.mark.parametrize("store", [{}, {"store": None}, {"store": False}])
def test_a_store_that_is_not_asked_for_is_no_reason_to_refuse(store: dict[str, Any]) -> None:
    assert decode_request(body(**store)).turns


@pytest.mark.parametrize(
    ("members", "param", "message"),
    [
        ({"input": 7}, "input", "Invalid type for 'input': expected an array, but got an integer instead."),
        ({"input": [7]}, "input[0]", "Invalid type for 'input[0]': expected an object, but got an integer instead."),
        ({"input": None}, "input", "Missing required parameter: 'input'."),
        (
            {"input": [{"role": "tool", "content": "x"}]},
            "input[0].role",
            "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
        ),
        ({"input": [{"role": "user"}]}, "input[0].content", "Missing required parameter: 'input[0].content'."),
        (
            {"input": [{"role": "user", "content": [{"text": "x"}]}]},
            "input[0].content[0].type",
            "Missing required parameter: 'input[0].content[0].type'.",
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            "input[0].call_id",
            "Missing required parameter: 'input[0].call_id'.",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c"}]},
            "input[0].output",
            "Missing required parameter: 'input[0].output'.",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "Missing required parameter: 'tools[0].name'."),
        ({"tools": {}}, "tools", "Invalid type for 'tools': expected an array, but got an object instead."),
        (
            {"tool_choice": "any"},
            "tool_choice",
            "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
        ),
        (
            {"temperature": "hot"},
            "temperature",
            "Invalid type for 'temperature': expected a decimal number, but got a string instead.",
        ),
        (
            {"text": {"format": {"type": "xml"}}},
            "text.format.type",
            "Invalid value: 'xml'. Supported values are: 'json_object', 'json_schema', and 'text'.",
        ),
    ],
)
def test_malformed_requests_are_refused_in_openais_words(members: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_request(body(**members))
    assert (refused.value.param, refused.value.message) == (param, message)


def test_an_image_must_be_a_base64_data_url() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_request(user({"type": "input_image", "image_url": "data:,hello"}))
    assert refused.value.param == "input[0].content[0].image_url"
