"""What a client's request says, and how a malformed one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols import seals
from lumen.protocols.anthropic_messages.request_decoder import decode_request
from lumen.protocols.canonical.content import (
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
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from lumen.protocols.canonical.request import (
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Role,
    Sampling,
    Thinking,
    ThinkingMode,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.request_fields import InvalidRequest
from tests.unit.protocols.anthropic_messages.requests import body, decode, decode_block, decode_blocks

ANTHROPIC = Dialect.ANTHROPIC_MESSAGES
EPHEMERAL = {"type": "ephemeral"}
SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": False}


def own(**members: Any) -> Extras:
    return Extras(ANTHROPIC, members)


def test_the_smallest_request() -> None:
    request = decode()
    assert (request.dialect, request.model, request.max_output_tokens) == (ANTHROPIC, "m", 4096)
    assert request.turns == (Turn(Role.USER, (Text("Hi"),)),)
    assert request.extras is None


def test_system_may_be_a_string_or_blocks_with_cache_marks() -> None:
    assert decode(system="Be brief.").system == (Text("Be brief."),)
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    assert decode(system=blocks).system == (Text("a"), Text("b", cache=CacheMark("1h")))
    assert decode(system="").system == ()


def test_system_messages_in_the_middle_stay_turns_and_leading_ones_join_the_system_prompt() -> None:
    messages = [
        {"role": "system", "content": "first"},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [{"type": "text", "text": "now"}], "clear_at": "turn_end"},
    ]
    request = decode(system="top", messages=messages)
    assert request.system == (Text("top"), Text("first"))
    assert request.turns[1] == Turn(Role.SYSTEM, (Text("now"),), extras=own(clear_at="turn_end"))


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ({"name": "f", "input_schema": SCHEMA}, FunctionTool("f", parameters=SCHEMA)),
        (
            {"type": "custom", "name": "f", "description": "d", "input_schema": SCHEMA, "strict": True},
            FunctionTool("f", "d", SCHEMA, True),
        ),
        (
            {"name": "f", "input_schema": SCHEMA, "defer_loading": True, "eager_input_streaming": False},
            FunctionTool("f", parameters=SCHEMA, extras=own(defer_loading=True, eager_input_streaming=False)),
        ),
        (
            {"name": "f", "input_schema": SCHEMA, "cache_control": EPHEMERAL},
            FunctionTool("f", parameters=SCHEMA, cache=CacheMark()),
        ),
        (
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            OpaqueTool(
                ANTHROPIC,
                "web_search_20250305",
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            ),
        ),
    ],
)
def test_tools(tool: dict[str, Any], expected: object) -> None:
    assert decode(tools=[tool]).tools == (expected,)


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(ToolChoiceMode.AUTO), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(ToolChoiceMode.REQUIRED), False),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            ToolChoice(ToolChoiceMode.NAMED, ("f",)),
            True,
        ),
        ({"type": "none"}, ToolChoice(ToolChoiceMode.NONE), None),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    request = decode(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            Thinking(ThinkingMode.BUDGET, budget_tokens=2048),
        ),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "xhigh"}},
            Thinking(ThinkingMode.ADAPTIVE, "xhigh", display="omitted"),
        ),
        ({"thinking": {"type": "disabled"}}, Thinking(ThinkingMode.DISABLED)),
        ({"thinking": {"type": "between_tools"}}, Thinking(ThinkingMode.DISABLED, extras=own(type="between_tools"))),
        ({"output_config": {"effort": "low"}}, Thinking(effort="low")),
        ({"thinking": None}, None),
    ],
)
def test_thinking(members: dict[str, Any], expected: Thinking | None) -> None:
    assert decode(**members).thinking == expected


@pytest.mark.parametrize("older", [False, True])
def test_output_format_by_both_its_names(older: bool) -> None:
    output = {"type": "json_schema", "schema": {"type": "object"}}
    members = {"output_format": output} if older else {"output_config": {"format": output}}
    assert decode(**members).output == OutputFormat(OutputKind.SCHEMA, schema={"type": "object"})


def test_sampling_keeps_zero_apart_from_absent() -> None:
    members = {"temperature": 0, "top_k": 40, "stop_sequences": ["END", "\n"]}
    assert decode(**members).sampling == Sampling(temperature=0, top_k=40, stop=("END", "\n"))


def test_account_members() -> None:
    request = decode(metadata={"user_id": '{"session_id":"s"}'}, service_tier="standard_only", cache_control=EPHEMERAL)
    assert (request.user, request.metadata, request.service_tier) == ('{"session_id":"s"}', None, "standard_only")
    assert request.cache == CacheMark()


def test_what_only_anthropic_knows_is_kept_apart() -> None:
    more: dict[str, Any] = {
        "context_management": {"edits": []},
        "mcp_servers": [{"name": "x"}],
        "container": "c",
        "betas": None,
    }
    request = decode(**more, stream=True, output_config={"effort": "low", "task_budget": {"total": 9}})
    assert request.extras == own(**more, output_config={"task_budget": {"total": 9}})


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text("t", cache=CacheMark("1h")),
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            Image(Inline("image/png", "AA==")),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}, Image(Url("https://a/b.png"))),
        (
            {"type": "image", "source": {"type": "url", "url": "data:image/gif;base64,AA=="}},
            Image(Inline("image/gif", "AA==")),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}, "cache_control": EPHEMERAL},
            Image(FileId("file_1"), cache=CacheMark()),
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
            Document(Inline("application/pdf", "AA=="), "T", "C", extras=own(citations={"enabled": True})),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Document(PlainText("words")),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}}, Document(Url("https://a/b.pdf"))),
        ({"type": "thinking", "thinking": "hm", "signature": "sig"}, Reasoning("hm", Seal("anthropic", "sig"))),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Reasoning("hm")),
        (
            {"type": "thinking", "thinking": "", "signature": "lumen1.openai.enc=="},
            Reasoning("", Seal("openai", "enc==")),
        ),
        ({"type": "redacted_thinking", "data": "enc"}, Reasoning("", Seal("anthropic", "enc"), is_redacted=True)),
        (
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            ToolCall("toolu_1", "f", '{"a":1}', extras=own(caller={"type": "direct"})),
        ),
        ({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}, ToolCall("toolu_1", "f", "{}")),
        (
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            Opaque(
                ANTHROPIC,
                "server_tool_use",
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            ),
        ),
        (
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            Opaque(
                ANTHROPIC,
                "web_search_tool_result",
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            ),
        ),
    ],
)
def test_blocks(block: dict[str, Any], expected: Block) -> None:
    assert decode_block(block) == expected


def test_documents_of_content_blocks() -> None:
    source = {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert decode_block({"type": "document", "source": source}) == Document(
        PlainText("a\n\nb"), extras=own(source=source)
    )
    assert decode_block({"type": "document", "source": {"type": "content", "content": "a"}}) == Document(
        PlainText("a"), extras=own(source={"type": "content", "content": "a"})
    )
    picture = {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}
    pictured = {"type": "content", "content": [{"type": "text", "text": "a"}, picture]}
    assert decode_blocks({"type": "document", "source": pictured}) == (Text("a"), Image(Url("https://a/b.png")))


def test_search_results_are_documents_to_everybody_else() -> None:
    block = {
        "type": "search_result",
        "source": "https://a",
        "title": "T",
        "content": [{"type": "text", "text": "a"}],
        "citations": {"enabled": True},
    }
    decoded = decode_block({**block, "cache_control": EPHEMERAL})
    assert decoded == Document(PlainText("a"), "T", "https://a", CacheMark(), Extras(ANTHROPIC, block))


def test_a_call_id_of_ours_gives_back_the_id_and_the_seal_it_carries() -> None:
    seal = Seal("google", "thought==")
    call_id = seals.client_call_id("call:1", seal, "toolu_")
    call = decode_block({"type": "tool_use", "id": call_id, "name": "f", "input": {}})
    result = decode_block({"type": "tool_result", "tool_use_id": call_id, "content": "r"})
    assert call == ToolCall("call:1", "f", "{}", seal=seal)
    assert result == ToolResult("call:1", (Text("r"),))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"content": "r"}, ToolResult("toolu_1", (Text("r"),))),
        ({}, ToolResult("toolu_1", ())),
        ({"content": [], "is_error": True}, ToolResult("toolu_1", (), is_error=True)),
        (
            {
                "content": [
                    {"type": "text", "text": "r"},
                    {"type": "image", "source": {"type": "url", "url": "https://a"}},
                    {"type": "document", "source": {"type": "url", "url": "https://b"}},
                ],
                "cache_control": EPHEMERAL,
            },
            ToolResult("toolu_1", (Text("r"), Image(Url("https://a")), Document(Url("https://b"))), cache=CacheMark()),
        ),
        (
            {"content": [{"type": "tool_reference", "tool_name": "f"}]},
            ToolResult(
                "toolu_1",
                (
                    Text(
                        '{"type":"tool_reference","tool_name":"f"}',
                        extras=own(type="tool_reference", tool_name="f"),
                    ),
                ),
            ),
        ),
    ],
)
def test_tool_results(members: dict[str, Any], expected: ToolResult) -> None:
    assert decode_block({"type": "tool_result", "tool_use_id": "toolu_1", **members}) == expected


def test_blocks_do_not_nest_without_end() -> None:
    inner: dict[str, Any] = {"type": "text", "text": "deep"}
    for _ in range(200):
        inner = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [inner]}
    result = decode_block(inner)
    assert isinstance(result, ToolResult)
    (part,) = result.content
    assert isinstance(part, Text)
    assert part.text.startswith('{"type":"tool_result"')


def test_citations_of_earlier_answers() -> None:
    citation = {"type": "char_location", "cited_text": "c", "document_index": 0, "document_title": "T"}
    assert decode_block({"type": "text", "text": "t", "citations": [citation]}) == Text(
        "t", (Citation(title="T", cited_text="c", extras=Extras(ANTHROPIC, citation)),)
    )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": "Hi"}, "messages: Input should be a valid list"),
        ({"messages": ["Hi"]}, "messages.0: Input should be a valid dictionary"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role: Field required"),
        (
            {"messages": [{"role": "tool", "content": "Hi"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content: Input should be a valid list"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages.0.content.0.text: Field required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "ftp"}}]}]},
            "messages.0.content.0.source: Input tag 'ftp' found using 'type' does not match any of the expected tags: "
            "'base64', 'file', 'url'",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f"}]}]},
            "messages.0.content.0.input: Field required",
        ),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: Field required"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name: Field required"),
        ({"system": 1}, "system: Input should be a valid list"),
        ({"stop_sequences": [1]}, "stop_sequences.0: Input should be a valid string"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"temperature": True}, "temperature: Input should be a valid number"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        (
            {"tool_choice": {"type": "required"}},
            "tool_choice: Input tag 'required' found using 'type' does not match any of the expected tags: "
            "'auto', 'any', 'tool', 'none'",
        ),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name: Field required"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id: Input should be a valid string"),
        ({"model": None}, "model: Field required"),
    ],
)
def test_malformed_requests_are_refused_in_anthropics_words(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_request(body(**members))
    assert refused.value.message == message
