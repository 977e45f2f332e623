"""Tools, sampling, thinking and the output's form on their way to Gemini."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.canonical.content import CacheMark, Extras, Text
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Request,
    Sampling,
    Thinking,
    ThinkingMode,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import LossAction, Unsupported
from lumen.protocols.dialects import Dialect, upstream_path
from lumen.protocols.gemini_generate.losses import LOSSES
from tests.unit.protocols.gemini_generate.requests import encode, request

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool("get_weather", "Weather.", CITY)
CLOCK = FunctionTool("get_time")
PATCH = CustomTool("apply_patch", "Patches.", {"type": "grammar", "syntax": "lark", "definition": "start: X"})
SEARCH = OpaqueTool(Dialect.OPENAI_RESPONSES, "web_search", {"type": "web_search"})
SHELL = OpaqueTool(Dialect.OPENAI_RESPONSES, "local_shell", {"type": "local_shell"})


def declarations(*tools: Any, **members: Any) -> list[dict[str, Any]]:
    body, _ = encode(request(tools=tools, **members))
    return list(body["tools"][0]["functionDeclarations"])


def test_functions() -> None:
    assert declarations(WEATHER, CLOCK) == [
        {"name": "get_weather", "description": "Weather.", "parametersJsonSchema": CITY},
        {"name": "get_time"},
    ]


@pytest.mark.parametrize(
    "schema",
    [{}, {"type": "object"}, {"type": "object", "properties": {}, "additionalProperties": False, "$schema": "x"}],
)
def test_a_function_without_arguments_has_no_parameters(schema: dict[str, Any]) -> None:
    assert declarations(FunctionTool("f", None, schema)) == [{"name": "f"}]


@pytest.mark.parametrize("anything", [True, {}])
def test_free_form_arguments_stay(anything: Any) -> None:
    [declared] = declarations(FunctionTool("f", None, {"type": "object", "additionalProperties": anything}))
    assert declared["parametersJsonSchema"]["additionalProperties"] == anything


def test_a_custom_tool_is_a_function_that_knows_its_grammar() -> None:
    [declared] = declarations(PATCH)
    assert declared["parametersJsonSchema"]["required"] == ["input"]
    assert declared["description"] == "Patches.\n\n`input` has to follow this lark grammar:\nstart: X"


def test_chats_grammar_is_one_level_deeper() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    [declared] = declarations(CustomTool("t", None, grammar))
    assert declared["description"] == "`input` has to follow this regex grammar:\na+"


def test_local_shell_is_a_function_and_other_server_tools_are_left_out() -> None:
    body, dropped = encode(request(tools=(SEARCH, SHELL)))
    [declared] = body["tools"][0]["functionDeclarations"]
    assert declared["name"] == "local_shell"
    assert dropped == ["server_tools"]


def test_server_tools_alone_leave_no_tools() -> None:
    body, _ = encode(request(tools=(SEARCH,)))
    assert "tools" not in body


def test_names_that_gemini_refuses_are_escaped_and_namespaces_flattened() -> None:
    tools = (FunctionTool("3d"), FunctionTool("-x"), FunctionTool("_lumen_y"), FunctionTool("read", namespace="fs"))
    names = [declared["name"] for declared in declarations(*tools)]
    assert names == ["_lumen_3d", "_lumen_-x", "_lumen__lumen_y", "fs__read"]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice(ToolChoiceMode.AUTO), None),
        (ToolChoice(ToolChoiceMode.AUTO, ("get_time",)), {"mode": "VALIDATED", "allowedFunctionNames": ["get_time"]}),
        (ToolChoice(ToolChoiceMode.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("get_time",)), {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        (ToolChoice(ToolChoiceMode.NAMED, ("get_time",)), {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        (ToolChoice(ToolChoiceMode.NONE), {"mode": "NONE"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, config: dict[str, Any] | None) -> None:
    body, _ = encode(request(tools=(WEATHER, CLOCK), tool_choice=choice))
    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


@pytest.mark.parametrize("name", ["read", "fs.read"])
def test_a_choice_names_a_tool_in_a_namespace(name: str) -> None:
    choice = ToolChoice(ToolChoiceMode.NAMED, (name,))
    body, _ = encode(request(tools=(FunctionTool("read", namespace="fs"),), tool_choice=choice))
    assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["fs__read"]


def test_strict_functions_are_validated() -> None:
    body, _ = encode(request(tools=(FunctionTool("f", strict=True),)))
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "VALIDATED"}


def test_no_parallel_calls_is_a_hint() -> None:
    assert encode(request(tools=(CLOCK,), parallel_tool_calls=False))[1] == ["parallel_tool_calls"]
    assert encode(request(tools=(CLOCK,), parallel_tool_calls=True))[1] == []
    assert encode(request(parallel_tool_calls=False))[1] == []


@pytest.mark.parametrize(
    ("asked", "feature", "param"),
    [
        (request(tools=(SEARCH,), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED)), "tool_choice", "tool_choice"),
        (
            request(tools=(SEARCH, CLOCK), tool_choice=ToolChoice(ToolChoiceMode.NAMED, ("web_search",))),
            "tool_choice",
            "tool_choice",
        ),
        (request(sampling=Sampling(choices=2)), "choices", "n"),
        (request(sampling=Sampling(stop=tuple("abcdef"))), "stop_sequences", "stop"),
        (request(modalities=("text", "audio")), "audio_output", "modalities"),
    ],
)
def test_what_must_not_be_left_out_is_refused(asked: Request, feature: str, param: str) -> None:
    with pytest.raises(Unsupported) as refused:
        encode(asked)
    assert (refused.value.feature, refused.value.param) == (feature, param)
    assert LOSSES[feature].action is LossAction.REFUSED


@pytest.mark.parametrize(
    ("members", "dropped"),
    [
        ({"prompt_cache_key": "k"}, ["prompt_cache_key"]),
        ({"user": "u"}, ["user"]),
        ({"metadata": {"a": "b"}}, ["metadata"]),
        ({"service_tier": "flex"}, ["service_tier"]),
        ({"service_tier": "auto"}, []),
        ({"verbosity": "low"}, ["verbosity"]),
        ({"cache": CacheMark()}, ["cache_control"]),
        ({"system": (Text("", cache=CacheMark()),)}, ["cache_control"]),
        ({"sampling": Sampling(logit_bias={"1": 2})}, ["logit_bias"]),
        ({"sampling": Sampling(seed=2**31)}, ["seed"]),
        ({"sampling": Sampling(logprobs=True, top_logprobs=2)}, ["logprobs"]),
        ({"modalities": ("text",)}, []),
        ({"extras": Extras(Dialect.OPENAI_CHAT, {"store": True})}, []),
        ({"extras": Extras(Dialect.ANTHROPIC_MESSAGES, {"context_management": {}})}, []),
        ({"extras": Extras(Dialect.OPENAI_RESPONSES, {"store": False})}, []),
    ],
)
def test_hints_are_left_out_and_noted(members: dict[str, Any], dropped: list[str]) -> None:
    body, noted = encode(request(**members))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert noted == dropped


def config(model_name: str = "gemini-3-pro-preview", **members: Any) -> dict[str, Any]:
    body, _ = encode(request(**members), model_name)
    return dict(body.get("generationConfig", {}))


def test_sampling() -> None:
    sampling = Sampling(0, 0.5, 40, 7, 0.25, -0.5, stop=("END", "STOP"))
    assert config(sampling=sampling) == {
        "temperature": 0,
        "topP": 0.5,
        "topK": 40,
        "seed": 7,
        "stopSequences": ["END", "STOP"],
        "presencePenalty": 0.25,
        "frequencyPenalty": -0.5,
    }


def test_a_penalty_of_zero_is_none() -> None:
    assert config(sampling=Sampling(presence_penalty=0, frequency_penalty=0.0)) == {}


@pytest.mark.parametrize(("asked", "cap", "sent"), [(None, None, None), (9, None, 9), (9, 5, 5), (None, 5, 5)])
def test_the_output_cap(asked: int | None, cap: int | None, sent: int | None) -> None:
    body, _ = encode(request(max_output_tokens=asked), output_cap=cap)
    assert body.get("generationConfig", {}).get("maxOutputTokens") == sent


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"n": {"const": "x"}}, "$schema": "s"}
    output = OutputFormat(OutputKind.SCHEMA, "answer", "The answer.", schema, strict=True)
    assert config(output=output) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"n": {"enum": ["x"]}},
            "description": "The answer.",
        },
    }
    assert config(output=OutputFormat(OutputKind.JSON)) == {"responseMimeType": "application/json"}
    assert config(output=OutputFormat(OutputKind.TEXT)) == {}


BUDGET, ADAPTIVE, DISABLED = ThinkingMode.BUDGET, ThinkingMode.ADAPTIVE, ThinkingMode.DISABLED
SHOWN = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("thinking", "three", "three_flash", "pro", "flash"),
    [
        (Thinking(DISABLED), "low", "minimal", 128, 0),
        (Thinking(effort="none"), "low", "minimal", 128, 0),
        (Thinking(effort="minimal"), "low", "minimal", 1024, 1024),
        (Thinking(effort="low"), "low", "low", 1024, 1024),
        (Thinking(effort="medium"), "medium", "medium", 8192, 8192),
        (Thinking(effort="high"), "high", "high", 24576, 24576),
        (Thinking(effort="max"), "high", "high", 32768, 24576),
        (Thinking(BUDGET, budget_tokens=1024, display="omitted"), "low", "minimal", 1024, 1024),
        (Thinking(BUDGET, budget_tokens=2048, display="omitted"), "low", "low", 2048, 2048),
        (Thinking(BUDGET, budget_tokens=10000, display="omitted"), "medium", "medium", 10000, 10000),
        (Thinking(BUDGET, budget_tokens=60000, display="omitted"), "high", "high", 32768, 24576),
        (Thinking(ADAPTIVE, display="omitted"), None, None, -1, -1),
        (Thinking(ADAPTIVE, "low", display="omitted"), "low", "low", 1024, 1024),
    ],
)
def test_thinking(thinking: Thinking, three: str | None, three_flash: str | None, pro: int, flash: int) -> None:
    for model_name, level in (("gemini-3.1-pro-preview", three), ("gemini-flash-latest", three_flash)):
        expected = {} if level is None else {"thinkingConfig": {"thinkingLevel": level}}
        assert config(model_name, thinking=thinking) == expected
    for model_name, budget in (("models/gemini-2.5-pro", pro), ("gemini-2.5-flash", flash)):
        assert config(model_name, thinking=thinking) == {"thinkingConfig": {"thinkingBudget": budget}}


def test_the_first_gemini_3_pro_has_no_medium() -> None:
    assert config(thinking=Thinking(effort="medium")) == {"thinkingConfig": {"thinkingLevel": "high"}}


@pytest.mark.parametrize(
    ("thinking", "is_shown"),
    [
        (Thinking(ADAPTIVE), True),
        (Thinking(BUDGET, budget_tokens=2048), True),
        (Thinking(BUDGET, budget_tokens=2048, display="omitted"), False),
        (Thinking(effort="low"), False),
        (Thinking(effort="low", display="auto"), True),
        (Thinking(DISABLED, display="summarized"), False),
        (Thinking(effort="none", display="auto"), False),
    ],
)
def test_thoughts_are_shown_where_the_client_expects_them(thinking: Thinking, is_shown: bool) -> None:
    for model_name in ("gemini-3-flash-preview", "gemini-2.5-flash"):
        said = config(model_name, thinking=thinking).get("thinkingConfig", {})
        assert said.get("includeThoughts", False) is is_shown


@pytest.mark.parametrize("model_name", ["gemini-2.0-flash", "gemma-3-27b-it"])
def test_models_that_do_not_think_are_not_told_to(model_name: str) -> None:
    body, dropped = encode(request(thinking=Thinking(effort="high")), model_name)
    assert "generationConfig" not in body
    assert dropped == ["reasoning_effort"]
    assert encode(request(thinking=Thinking(DISABLED)), model_name)[1] == []


@pytest.mark.parametrize(
    ("model", "is_stream", "path"),
    [
        ("gemini-3-pro", False, "/v1beta/models/gemini-3-pro:generateContent"),
        ("a/b?c", True, "/v1beta/models/a%2Fb%3Fc:streamGenerateContent?alt=sse"),
    ],
)
def test_the_path_names_model_and_method(model: str, is_stream: bool, path: str) -> None:
    assert upstream_path(Dialect.GEMINI_GENERATE, model=model, is_stream=is_stream) == path
