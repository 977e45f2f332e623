"""What a Responses upstream is sent, for clients of every dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lumen.protocols.canonical.content import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    Extras,
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
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Request,
    Role,
    Sampling,
    Thinking,
    ThinkingMode,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.request_decoder import decode_request
from lumen.protocols.tool_names import flat_name
from tests.unit.protocols.openai_responses.samples import CODEX_REQUEST, body, encoded, items, target

ANTHROPIC = Dialect.ANTHROPIC_MESSAGES
SEARCH = OpaqueTool(ANTHROPIC, "web_search_20250305", {"name": "web_search"})


def request(*turns: Turn, client: Dialect = ANTHROPIC, **members: Any) -> Request:
    return Request(client, "m", turns or (Turn(Role.USER, (Text("Hi"),)),), **members)


def user(*blocks: Block) -> Request:
    return request(Turn(Role.USER, blocks))


def assistant(*blocks: Block) -> Request:
    return request(Turn(Role.ASSISTANT, blocks))


RICH_REQUEST = items(
    {"role": "system", "content": "sys"},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://a.test/a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "status": "completed"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "phase": "final_answer",
        "content": [
            {
                "type": "output_text",
                "text": "b",
                "annotations": [{"type": "file_citation", "file_id": "f", "index": 1}],
            },
            {"type": "refusal", "refusal": "no"},
        ],
    },
    {
        "type": "local_shell_call",
        "id": "lsh_1",
        "call_id": "call_9",
        "action": {"command": ["ls"]},
        "status": "completed",
    },
    {"type": "local_shell_call_output", "id": "call_9", "output": "x"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"role": "developer", "content": "now"},
    instructions="first",
    tools=[
        {"type": "local_shell"},
        {"type": "function", "name": "f", "parameters": {"type": "object", "$defs": {}}, "strict": True, "async": True},
    ],
    tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]},
    text={"format": {"type": "json_object"}},
    reasoning={"effort": "low", "generate_summary": "auto"},
    include=["message.output_text.logprobs"],
    temperature=0,
    max_output_tokens=512,
    top_logprobs=1,
    metadata={"a": "b"},
    user="u",
    safety_identifier="s",
    service_tier="flex",
    max_tool_calls=3,
)


@pytest.mark.parametrize("given", [body(), CODEX_REQUEST, RICH_REQUEST], ids=["plain", "codex", "rich"])
def test_a_request_of_this_dialect_comes_back_the_same(given: dict[str, Any]) -> None:
    decoded = decode_request(given)
    to = target()
    again = decode_request(encoded(decoded, to))
    assert msgspec.structs.replace(again, model=decoded.model, thinking=decoded.thinking) == decoded
    assert to.dropped == []


def test_codex_items_go_out_as_codex_wrote_them() -> None:
    sent = encoded(decode_request(CODEX_REQUEST))
    assert sent["input"][2] == {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA=="}
    assert sent["input"][4:7] == CODEX_REQUEST["input"][4:7]
    assert sent["input"][7]["output"] == "ok"
    assert sent["tools"] == CODEX_REQUEST["tools"]
    assert sent["client_metadata"] == CODEX_REQUEST["client_metadata"]
    assert sent["include"] == ["reasoning.encrypted_content"]


def test_the_channels_model_is_asked_and_nothing_is_stored() -> None:
    sent = encoded(request())
    assert (sent["model"], sent["store"], sent["stream"]) == ("up-x", False, True)
    assert encoded(request(), target(is_stream=False))["stream"] is False


def test_system_texts_are_the_instructions() -> None:
    sent = encoded(request(system=(Text("one"), Text(""), Text("two"))))
    assert sent["instructions"] == "one\n\ntwo"


def test_a_system_turn_in_the_middle_is_a_developer_message() -> None:
    turns = (Turn(Role.USER, (Text("a"),)), Turn(Role.SYSTEM, (Text("b"),)))
    assert encoded(request(*turns))["input"][1] == {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "b"}],
    }


def test_an_answer_becomes_the_items_openai_would_have_listed() -> None:
    sent = encoded(
        assistant(
            Reasoning("why", Seal("openai", "enc")),
            Text("a"),
            Text("b"),
            Refusal("c"),
            ToolCall("toolu_1", "f", ""),
            ToolCall("call_2", "p", "text", ToolKind.CUSTOM),
        )
    )
    assert sent["input"] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}], "encrypted_content": "enc"},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a"},
                {"type": "output_text", "text": "b"},
                {"type": "refusal", "refusal": "c"},
            ],
        },
        {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "p", "input": "text"},
    ]


@pytest.mark.parametrize("seal", [None, Seal("anthropic", "sig")])
def test_reasoning_without_our_vendors_seal_is_left_out_and_never_shown(seal: Seal | None) -> None:
    to = target()
    sent = encoded(assistant(Reasoning("secret", seal), Text("a")), to)
    assert "secret" not in json.dumps(sent)
    assert to.dropped == ["reasoning_signature"]


def test_another_vendors_seal_from_a_client_of_this_dialect_is_left_out_too() -> None:
    to = target()
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "lumen1.anthropic.sig"}
    assert encoded(decode_request(items(sealed)), to)["input"] == []
    assert to.dropped == ["reasoning_signature"]


def test_a_seal_goes_to_a_relative_that_issued_it() -> None:
    sent = encoded(assistant(Reasoning("", Seal("xai", "enc"))), target(issuer="xai"))
    assert sent["input"][0]["encrypted_content"] == "enc"


def test_empty_texts_say_nothing() -> None:
    sent = encoded(request(Turn(Role.USER, (Text(""), Text("a"))), Turn(Role.ASSISTANT, (Text(""),))))
    assert sent["input"] == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}]


def test_results_and_a_text_in_one_turn_are_items_and_a_message() -> None:
    sent = encoded(user(ToolResult("c1", (Text("r"),)), ToolResult("c2", ()), Text("go on")))
    assert [item["type"] for item in sent["input"]] == ["function_call_output", "function_call_output", "message"]
    assert [item["output"] for item in sent["input"][:2]] == ["r", ""]


def test_a_result_takes_the_kind_of_its_call() -> None:
    call, result = ToolCall("c1", "p", "x", ToolKind.CUSTOM), ToolResult("c1", (Text("r"),))
    sent = encoded(request(Turn(Role.ASSISTANT, (call,)), Turn(Role.USER, (result,))))
    assert sent["input"][1] == {"type": "custom_tool_call_output", "call_id": "c1", "output": "r"}


def test_results_with_images_are_lists() -> None:
    sent = encoded(user(ToolResult("c1", (Text("see"), Image(Inline("image/png", "AAAA"))))))
    assert sent["input"][0]["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ((Text("no such file"),), "Error: no such file"),
        ((), "Error:"),
        (
            (Text("a"), Text("b")),
            [{"type": "input_text", "text": text} for text in ("Error:", "a", "b")],
        ),
    ],
)
def test_an_error_is_said_in_the_output(content: tuple[Text, ...], output: Any) -> None:
    sent = encoded(user(ToolResult("c1", content, is_error=True)))
    assert sent["input"][0]["output"] == output


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            Image(Url("https://a.test/a.png"), "high"),
            {"type": "input_image", "image_url": "https://a.test/a.png", "detail": "high"},
        ),
        (
            Document(Inline("application/pdf", "AAAA")),
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "document"},
        ),
        (
            Document(Url("https://a.test/a.pdf"), "a.pdf"),
            {"type": "input_file", "file_url": "https://a.test/a.pdf", "filename": "a.pdf"},
        ),
        (Document(PlainText("text"), "Title", "Context"), {"type": "input_text", "text": "Title\n\nContext\n\ntext"}),
        (Audio(Inline("audio/wav", "AAAA")), {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    ],
)
def test_media(block: Block, part: dict[str, Any]) -> None:
    assert encoded(user(block))["input"][0]["content"] == [part]


def test_the_context_of_a_file_is_a_text_before_it() -> None:
    block = Document(Url("https://a.test/a.pdf"), context="From the archive.")
    text, file = encoded(user(block))["input"][0]["content"]
    assert text == {"type": "input_text", "text": "From the archive."}
    assert file == {"type": "input_file", "file_url": "https://a.test/a.pdf"}


def test_functions_of_other_dialects_are_not_strict_and_have_parameters() -> None:
    sent = encoded(request(tools=(FunctionTool("f", "d"),)))
    assert sent["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        }
    ]


def test_names_openai_refuses_are_rewritten_wherever_they_are() -> None:
    name = "a.b" + "c" * 70
    turn = Turn(Role.ASSISTANT, (ToolCall("call_1", name, "{}"),))
    choice = ToolChoice(ToolChoiceMode.NAMED, (name,))
    sent = encoded(request(turn, tools=(FunctionTool(name),), tool_choice=choice))
    assert sent["tools"][0]["name"] == flat_name(None, name) != name
    assert sent["input"][0]["name"] == sent["tool_choice"]["name"] == flat_name(None, name)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(ToolChoiceMode.REQUIRED), "required"),
        (ToolChoice(ToolChoiceMode.NAMED, ("f",)), {"type": "function", "name": "f"}),
        (ToolChoice(ToolChoiceMode.NAMED, ("p",)), {"type": "custom", "name": "p"}),
        (
            ToolChoice(ToolChoiceMode.AUTO, ("f", "p")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}],
            },
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, sent: Any) -> None:
    tools = (FunctionTool("f"), CustomTool("p"))
    assert encoded(request(tools=tools, tool_choice=choice))["tool_choice"] == sent


@pytest.mark.parametrize(
    ("thinking", "reasoning", "is_sealed"),
    [
        (Thinking(ThinkingMode.ADAPTIVE), {"summary": "auto"}, True),
        (Thinking(ThinkingMode.ADAPTIVE, effort="max", display="omitted"), {"effort": "max"}, True),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=1024), {"effort": "low", "summary": "auto"}, True),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=8000), {"effort": "medium", "summary": "auto"}, True),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=32000), {"effort": "high", "summary": "auto"}, True),
        (Thinking(ThinkingMode.ADAPTIVE, display="summarized"), {"summary": "auto"}, True),
        (Thinking(ThinkingMode.ADAPTIVE, display="updates"), {"summary": "auto"}, True),  # Claude Code says so
        (Thinking(ThinkingMode.DISABLED), {"effort": "none"}, False),
        (Thinking(effort="minimal"), {"effort": "minimal"}, True),
        (Thinking(wants_sealed=True), None, True),
        (None, None, False),
    ],
)
def test_thinking(thinking: Thinking | None, reasoning: dict[str, Any] | None, is_sealed: bool) -> None:
    sent = encoded(request(thinking=thinking))
    assert sent.get("reasoning") == reasoning
    assert sent.get("include") == (["reasoning.encrypted_content"] if is_sealed else None)


def test_output_format_and_verbosity() -> None:
    output = OutputFormat(OutputKind.SCHEMA, schema={"type": "object"})
    sent = encoded(request(output=output, verbosity="low"))
    assert sent["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}},
        "verbosity": "low",
    }


@pytest.mark.parametrize(
    ("asked", "output_cap", "sent"),
    [(None, None, None), (100, None, 100), (1, None, 16), (100, 50, 50), (None, 50, 50), (100, 8, 8), (1, 50, 16)],
)
def test_the_output_cap_is_at_least_openais_least_but_never_above_a_strict_hold(
    asked: int | None, output_cap: int | None, sent: int | None
) -> None:
    body = encoded(request(max_output_tokens=asked), target(output_cap=output_cap))
    assert body.get("max_output_tokens") == sent


def test_a_long_user_is_hashed() -> None:
    sent = encoded(request(user="x" * 65, prompt_cache_key="y" * 65))
    assert len(sent["safety_identifier"]) == len(sent["prompt_cache_key"]) == 64
    assert "x" not in sent["safety_identifier"]
    assert encoded(request(user="u" * 64))["safety_identifier"] == "u" * 64


@pytest.mark.parametrize(
    ("members", "feature"),
    [
        ({"sampling": Sampling(choices=2)}, "choices"),
        ({"sampling": Sampling(stop=("\n",))}, "stop_sequences"),
        ({"modalities": ("text", "audio")}, "audio_output"),
        ({"turns": (Turn(Role.USER, (Image(FileId("file_1")),)),)}, "file_id"),
        ({"turns": (Turn(Role.USER, (Document(FileId("file_1")),)),)}, "file_id"),
        ({"turns": (Turn(Role.ASSISTANT, (Image(Url("https://a.test")),)),)}, "assistant_media"),
        ({"tools": (SEARCH,), "tool_choice": ToolChoice(ToolChoiceMode.REQUIRED)}, "tool_choice"),
        (
            {"tools": (SEARCH, FunctionTool("f")), "tool_choice": ToolChoice(ToolChoiceMode.NAMED, ("web_search",))},
            "tool_choice",
        ),
    ],
)
def test_what_would_change_the_answer_is_refused(members: dict[str, Any], feature: str) -> None:
    with pytest.raises(Unsupported) as refused:
        encoded(msgspec.structs.replace(request(), **members))
    assert refused.value.feature == feature


def test_a_temperature_of_zero_is_sent_and_the_default_is_not() -> None:
    assert encoded(request(sampling=Sampling(temperature=0, top_p=0.5)))["temperature"] == 0
    assert not {"temperature", "top_p"} & set(encoded(request(sampling=Sampling(temperature=1, top_p=1.0))))
    assert encoded(decode_request(body(temperature=1)))["temperature"] == 1


def test_a_long_call_id_is_hashed_alike_in_the_call_and_its_result() -> None:
    call, result = ToolCall("c" * 65, "f", "{}"), ToolResult("c" * 65, (Text("r"),))
    first, second = encoded(request(Turn(Role.ASSISTANT, (call,)), Turn(Role.USER, (result,))))["input"]
    assert first["call_id"] == second["call_id"]
    assert len(first["call_id"]) == 64


@pytest.mark.parametrize(
    ("members", "feature"),
    [
        ({"sampling": Sampling(seed=0)}, "seed"),
        ({"sampling": Sampling(top_k=0)}, "top_k"),
        ({"sampling": Sampling(presence_penalty=0.5)}, "presence_penalty"),
        ({"sampling": Sampling(frequency_penalty=0.5)}, "frequency_penalty"),
        ({"sampling": Sampling(logit_bias={"1": 2})}, "logit_bias"),
        ({"sampling": Sampling(logprobs=True, top_logprobs=2)}, "logprobs"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"cache": CacheMark()}, "cache_control"),
        ({"system": (Text("s", cache=CacheMark()),)}, "cache_control"),
        ({"turns": (Turn(Role.USER, (Image(Url("https://a.test"), cache=CacheMark()),)),)}, "cache_control"),
        ({"tools": (FunctionTool("f", cache=CacheMark()),)}, "cache_control"),
        ({"tools": (SEARCH,)}, "server_tools"),
        ({"turns": (Turn(Role.ASSISTANT, (Text("a", seal=Seal("google", "sig")),)),)}, "reasoning_signature"),
        ({"tools": (SEARCH,), "tool_choice": ToolChoice(ToolChoiceMode.AUTO)}, "server_tools"),
        ({"turns": (Turn(Role.USER, (Text("a"),), name="Ann"),)}, "participant_name"),
        ({"turns": (Turn(Role.ASSISTANT, (Opaque(ANTHROPIC, "server_tool_use", {}),)),)}, "opaque_blocks"),
        ({"turns": (Turn(Role.ASSISTANT, (Text("a", (Citation(cited_text="x"),)),)),)}, "citations"),
    ],
)
def test_hints_are_dropped_and_noted(members: dict[str, Any], feature: str) -> None:
    to = target()
    sent = encoded(msgspec.structs.replace(request(), **members), to)
    assert to.dropped == [feature]
    assert not {"seed", "top_k", "top_logprobs", "logit_bias", "metadata", "service_tier"} & set(sent)
    assert "cache" not in json.dumps(sent)


def test_extras_of_other_dialects_are_left_out() -> None:
    extras = Extras(ANTHROPIC, {"context_management": {}})
    sent = encoded(request(Turn(Role.USER, (Text("a", extras=extras),), extras=extras), extras=extras))
    assert "context_management" not in json.dumps(sent)
