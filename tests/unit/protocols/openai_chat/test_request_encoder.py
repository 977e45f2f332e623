"""What a provider is sent, by vendor."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from lumen.protocols.canonical.content import CacheMark, Extras, Text
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Sampling,
    Thinking,
    ThinkingMode,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.openai_chat.wire import body, decoded, encoded, request, target, user

VENDORS = ("openai", "google", "anthropic", "deepseek", "moonshot", "zhipu", "minimax", "qwen", "somebody")
F = FunctionTool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}}, strict=True)
G = FunctionTool("g")
C = CustomTool("c", "runs", {"type": "grammar", "syntax": "lark", "definition": "start: X"})
SEARCH = OpaqueTool(Dialect.ANTHROPIC_MESSAGES, "web_search_20250305", {"type": "web_search_20250305"})


def test_the_channels_model_and_how_the_answer_comes() -> None:
    assert encoded(request()) == {
        "model": "upstream-model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }
    streamed = encoded(request(), target(is_stream=True))
    assert streamed["stream"] is True
    assert streamed["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("issuer", VENDORS)
def test_the_output_cap_has_the_name_the_vendor_takes(issuer: str) -> None:
    name = "max_completion_tokens" if issuer == "openai" else "max_tokens"
    said = encoded(request(max_output_tokens=100), issuer)
    assert {member: value for member, value in said.items() if member.startswith("max")} == {name: 100}


@pytest.mark.parametrize(("asked", "cap", "sent"), [(None, 50, 50), (100, 50, 50), (20, 50, 20), (20, None, 20)])
def test_a_strict_holds_cap_lowers_the_clients(asked: int | None, cap: int | None, sent: int) -> None:
    said = encoded(request(max_output_tokens=asked), target(output_cap=cap))
    assert said["max_completion_tokens"] == sent


def test_no_cap_is_made_up() -> None:
    assert "max_completion_tokens" not in encoded(request())


EFFORT = Thinking(effort="medium")
OFF = Thinking(ThinkingMode.DISABLED)
BUDGET = Thinking(ThinkingMode.BUDGET, budget_tokens=10_000)
ADAPTIVE = Thinking(ThinkingMode.ADAPTIVE)
ENABLED = {"thinking": {"type": "enabled"}}
DISABLED = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("issuer", "thinking", "members"),
    [
        ("openai", EFFORT, {"reasoning_effort": "medium"}),
        ("openai", Thinking(effort="max"), {"reasoning_effort": "max"}),
        ("openai", OFF, {"reasoning_effort": "none"}),
        ("openai", BUDGET, {"reasoning_effort": "medium"}),
        ("openai", Thinking(ThinkingMode.BUDGET, budget_tokens=1024), {"reasoning_effort": "low"}),
        ("openai", Thinking(ThinkingMode.BUDGET, budget_tokens=60_000), {"reasoning_effort": "high"}),
        ("openai", ADAPTIVE, {}),
        ("somebody", EFFORT, {"reasoning_effort": "medium"}),
        ("google", Thinking(effort="xhigh"), {"reasoning_effort": "high"}),
        ("google", OFF, {"reasoning_effort": "minimal"}),
        ("deepseek", EFFORT, {**ENABLED, "reasoning_effort": "high"}),
        ("deepseek", Thinking(effort="max"), {**ENABLED, "reasoning_effort": "max"}),
        ("deepseek", ADAPTIVE, ENABLED),
        ("deepseek", Thinking(effort="none"), DISABLED),
        ("moonshot", EFFORT, ENABLED),
        ("moonshot", OFF, DISABLED),
        ("zhipu", BUDGET, ENABLED),
        ("zhipu", OFF, DISABLED),
        ("minimax", EFFORT, {"thinking": {"type": "adaptive"}}),
        ("minimax", OFF, DISABLED),
        ("qwen", BUDGET, {"enable_thinking": True, "thinking_budget": 10_000}),
        ("qwen", EFFORT, {"enable_thinking": True}),
        ("qwen", OFF, {"enable_thinking": False}),
    ],
)
def test_effort_becomes_the_vendors_switch(issuer: str, thinking: Thinking, members: dict[str, Any]) -> None:
    said = encoded(request(thinking=thinking), issuer)
    assert {name: value for name, value in said.items() if name not in ("model", "messages", "stream")} == members


@pytest.mark.parametrize("issuer", VENDORS)
def test_nothing_is_said_about_thinking_where_nothing_was_wished(issuer: str) -> None:
    assert set(encoded(request(thinking=Thinking(display="auto")), issuer)) == {"model", "messages", "stream"}


def test_sampling_that_everybody_takes() -> None:
    said = encoded(request(sampling=Sampling(temperature=0, top_p=0.5, stop=("a", "b"))), "zhipu")
    assert (said["temperature"], said["top_p"], said["stop"]) == (0, 0.5, ["a", "b"])


HINTED = Sampling(
    top_k=5, seed=1, presence_penalty=1, frequency_penalty=1, logit_bias={"1": 1}, logprobs=True, top_logprobs=2
)
ALL_HINTS = {
    "top_k", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "verbosity",
    "prompt_cache_key", "metadata", "service_tier", "user",
}  # fmt: skip


@pytest.mark.parametrize(
    ("issuer", "sent"),
    [
        ("openai", ALL_HINTS - {"top_k"}),
        ("google", set()),
        ("deepseek", {"presence_penalty", "frequency_penalty", "logprobs"}),
        ("moonshot", {"presence_penalty", "frequency_penalty", "prompt_cache_key", "user"}),
        ("zhipu", set()),
        ("minimax", set()),
        ("qwen", {"top_k", "seed", "presence_penalty", "logprobs"}),
        ("somebody", {"seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs"}),
    ],
)
def test_a_hint_is_sent_or_dropped_and_said_so(issuer: str, sent: set[str]) -> None:
    asked = request(
        dialect=Dialect.OPENAI_CHAT,
        sampling=HINTED,
        verbosity="low",
        prompt_cache_key="k",
        metadata={"a": "b"},
        service_tier="flex",
        user="u",
    )
    to = target(issuer)
    said = encoded(asked, to)
    members = {"user" if name == "safety_identifier" else name for name in said}
    assert members & ALL_HINTS == sent
    assert set(to.dropped) == ALL_HINTS - sent
    assert ("top_logprobs" in said) is ("logprobs" in sent)


@pytest.mark.parametrize(
    ("members", "feature"),
    [
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"metadata": {"a": "b"}}, "metadata"),
    ],
)
def test_what_means_another_thing_to_the_clients_vendor_is_dropped(members: dict[str, Any], feature: str) -> None:
    to = target()
    assert set(encoded(request(**members), to)) == {"model", "messages", "stream"}
    assert to.dropped == [feature]


def test_a_long_user_id_is_hashed() -> None:
    long = "x" * 65
    assert encoded(request(user=long))["safety_identifier"] == hashlib.sha256(long.encode()).hexdigest()
    assert encoded(request(user="x" * 64))["safety_identifier"] == "x" * 64


def test_tools_for_openai() -> None:
    said = encoded(request(tools=(F, C), parallel_tool_calls=False))
    assert said["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": F.parameters, "strict": True},
        },
        {
            "type": "custom",
            "custom": {
                "name": "c",
                "description": "runs",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
            },
        },
    ]
    assert said["parallel_tool_calls"] is False


def test_a_custom_tool_is_a_function_with_one_string_for_relatives() -> None:
    function = encoded(request(tools=(C,)), "deepseek")["tools"][0]["function"]
    assert function["name"] == "c"
    assert function["parameters"]["required"] == ["input"]
    assert function["description"].startswith("runs\n\n")
    assert "start: X" in function["description"]
    plain = encoded(request(tools=(CustomTool("c"),)), "deepseek")["tools"][0]["function"]
    assert "description" not in plain


@pytest.mark.parametrize(("issuer", "is_sent"), [("openai", True), ("google", False), ("deepseek", False)])
def test_strict_schemas_are_for_those_who_have_them(issuer: str, is_sent: bool) -> None:
    to = target(issuer)
    function = encoded(request(tools=(F,)), to)["tools"][0]["function"]
    assert ("strict" in function) is is_sent
    assert to.dropped == ([] if is_sent else ["strict_tools"])


def test_relatives_get_a_schema_for_functions_without_one() -> None:
    assert encoded(request(tools=(G,)))["tools"][0]["function"] == {"name": "g"}
    for tool in (G, FunctionTool("g", parameters={})):
        function = encoded(request(tools=(tool,)), "moonshot")["tools"][0]["function"]
        assert function == {"name": "g", "parameters": {"type": "object", "properties": {}}}


def test_a_local_shell_becomes_a_function_and_server_tools_are_dropped() -> None:
    shell = OpaqueTool(Dialect.OPENAI_RESPONSES, "local_shell", {"type": "local_shell"})
    to = target()
    tools = encoded(request(tools=(shell, SEARCH)), to)["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["local_shell"]
    assert to.dropped == ["server_tools"]


def test_names_that_openai_would_refuse_are_flattened() -> None:
    tools: tuple[Tool, ...] = (FunctionTool("run", namespace="box"), FunctionTool("x" * 80), CustomTool("c.d"))
    names = [(tool.get("function") or tool["custom"])["name"] for tool in encoded(request(tools=tools))["tools"]]
    assert names[0] == "box__run"
    assert all(len(name) <= 64 and name.replace("_", "").isalnum() for name in names)


ALLOWED = ToolChoice(ToolChoiceMode.REQUIRED, ("f", "c"))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(ToolChoiceMode.AUTO), "auto"),
        (ToolChoice(ToolChoiceMode.REQUIRED), "required"),
        (ToolChoice(ToolChoiceMode.NONE), "none"),
        (ToolChoice(ToolChoiceMode.NAMED, ("g",)), {"type": "function", "function": {"name": "g"}}),
        (ToolChoice(ToolChoiceMode.NAMED, ("c",)), {"type": "custom", "custom": {"name": "c"}}),
        (
            ALLOWED,
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "c"}},
                    ],
                },
            },
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, said: Any) -> None:
    assert encoded(request(tools=(F, G, C), tool_choice=choice))["tool_choice"] == said


def test_relatives_get_only_the_tools_that_are_allowed() -> None:
    said = encoded(request(tools=(F, G, C), tool_choice=ALLOWED), "qwen")
    assert [tool["function"]["name"] for tool in said["tools"]] == ["f", "c"]
    assert said["tool_choice"] == "required"


def test_a_custom_tool_is_named_as_the_function_it_became() -> None:
    said = encoded(request(tools=(C,), tool_choice=ToolChoice(ToolChoiceMode.NAMED, ("c",))), "qwen")
    assert said["tool_choice"] == {"type": "function", "function": {"name": "c"}}


@pytest.mark.parametrize(
    "choice", [ToolChoice(ToolChoiceMode.REQUIRED), ToolChoice(ToolChoiceMode.NAMED, ("web_search_20250305",))]
)
def test_a_forced_tool_that_cannot_be_sent_is_refused(choice: ToolChoice) -> None:
    with pytest.raises(Unsupported) as caught:
        encoded(request(tools=(SEARCH,), tool_choice=choice))
    assert (caught.value.feature, caught.value.param) == ("tool_choice", "tool_choice")


def test_nothing_about_tools_is_said_without_tools() -> None:
    asked = request(tool_choice=ToolChoice(ToolChoiceMode.AUTO), parallel_tool_calls=True)
    assert set(encoded(asked)) == {"model", "messages", "stream"}


def test_one_call_at_a_time_is_a_hint_for_most_relatives() -> None:
    to = target("zhipu")
    assert "parallel_tool_calls" not in encoded(request(tools=(G,), parallel_tool_calls=False), to)
    assert to.dropped == ["parallel_tool_calls"]
    to = target("zhipu")
    encoded(request(tools=(G,), parallel_tool_calls=True), to)
    assert to.dropped == []


def test_response_formats() -> None:
    schema = OutputFormat(OutputKind.SCHEMA, None, "d", {"type": "object"}, True)
    assert encoded(request(output=schema))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "description": "d", "schema": {"type": "object"}, "strict": True},
    }
    assert encoded(request(output=OutputFormat(OutputKind.JSON)))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("members", "feature", "param"),
    [
        ({"sampling": Sampling(choices=2)}, "choices", "n"),
        ({"modalities": ("text", "audio")}, "audio_output", "modalities"),
        ({"sampling": Sampling(stop=("a", "b", "c", "d", "e"))}, "stop_sequences", "stop"),
    ],
)
def test_what_would_change_the_answer_is_refused(members: dict[str, Any], feature: str, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        encoded(request(**members))
    assert (caught.value.feature, caught.value.param) == (feature, param)


def test_extras_of_this_dialect_are_sent_and_others_never() -> None:
    own = Extras(
        Dialect.OPENAI_CHAT, {"prediction": {"type": "content"}, "stream_options": {"include_obfuscation": False}}
    )
    said = encoded(request(extras=own), target(is_stream=True))
    assert said["prediction"] == {"type": "content"}
    assert said["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    foreign = Extras(Dialect.ANTHROPIC_MESSAGES, {"context_management": {}})
    assert set(encoded(request(extras=foreign))) == {"model", "messages", "stream"}


def test_cache_marks_are_dropped_but_for_a_chat_clients_own() -> None:
    to = target()
    asked = request(
        user(Text("hi", cache=CacheMark())),
        system=(Text("s", cache=CacheMark()),),
        tools=(FunctionTool("f", cache=CacheMark()),),
        cache=CacheMark(),
    )
    assert "cache_control" not in str(encoded(asked, to))
    assert to.dropped == ["cache_control"]
    marked = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    to = target()
    assert encoded(decoded({"role": "user", "content": [marked]}), to)["messages"][0]["content"] == [marked]
    assert to.dropped == []


_A, _B = {"type": "text", "text": "a"}, {"type": "text", "text": "b"}
_GRAMMAR = {"syntax": "lark", "definition": "x"}
_NAMED = {"type": "custom", "custom": {"name": "c"}}
FULL = body(
    {"role": "system", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "https://x"}},
        ],
    },
    {"role": "assistant", "content": "hm", "refusal": None},
    {"role": "system", "content": "late"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "ls"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": [_A, _B]},
    {"role": "tool", "tool_call_id": "call_2", "content": "c"},
    {"role": "assistant", "content": None, "refusal": "no"},
    {"role": "user", "content": ""},
    tools=[
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": False}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": _GRAMMAR}}},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
    ],
    tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}},
    parallel_tool_calls=True,
    max_completion_tokens=9,
    temperature=0.0,
    seed=3,
    stop=["a", "b"],
    logprobs=True,
    top_logprobs=1,
    logit_bias={"1": 2},
    reasoning_effort="low",
    response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    verbosity="high",
    modalities=["text"],
    prompt_cache_key="k",
    safety_identifier="u",
    metadata={"a": "b"},
    service_tier="flex",
    prediction={"type": "content", "content": "x"},
    stream_options={"include_usage": True, "include_obfuscation": False},
    web_search_options={},
)  # fmt: skip


def test_a_chat_clients_request_survives_the_round_trip() -> None:
    to = target(is_stream=True)
    asked = decoded(
        *FULL["messages"], **{name: value for name, value in FULL.items() if name not in ("model", "messages")}
    )
    said = encoded(asked, to)
    assert to.dropped == []
    again = decoded(
        *said["messages"], **{name: value for name, value in said.items() if name not in ("model", "messages")}
    )
    assert again == asked
