"""What a provider gets, of requests of every dialect."""

from __future__ import annotations

import base64
from typing import Any

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
from lumen.protocols.canonical.request import OutputFormat, OutputKind, Sampling, Turn
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.tool_names import flat_name
from tests.unit.protocols.anthropic_messages.requests import (
    ADAPTIVE,
    BUDGETED,
    OTHER,
    assistant,
    encode,
    request,
    system,
    user,
)

TEXT = {"type": "text", "text": "Hi"}
CALL = ToolCall("call_1", "f", '{"a":1}')
USE = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}


def messages(*turns: Turn, model: str = ADAPTIVE, dropped: tuple[str, ...] = (), **members: Any) -> list[Any]:
    sent: list[Any] = encode(request(*turns), model, dropped=dropped, **members)["messages"]
    return sent


def sent_block(block: Block, *, dropped: tuple[str, ...] = (), **members: Any) -> Any:
    ((only,),) = [message["content"] for message in messages(user(block), dropped=dropped, **members)]
    return only


def result(call_id: str, *content: Text | Image, **members: Any) -> ToolResult:
    return ToolResult(call_id, content, **members)


def test_the_smallest_request() -> None:
    assert encode(request()) == {
        "model": ADAPTIVE,
        "max_tokens": 8000,
        "stream": False,
        "messages": [{"role": "user", "content": [TEXT]}],
    }


@pytest.mark.parametrize(
    ("asked", "output_cap", "sent"),
    [(None, None, 8000), (100, None, 100), (None, 50, 50), (100, 50, 50), (99_999, None, 8000)],
)
def test_the_cap_is_the_clients_or_the_catalogs_and_never_above_a_strict_holds(
    asked: int | None, output_cap: int | None, sent: int
) -> None:
    assert encode(request(max_output_tokens=asked), output_cap=output_cap)["max_tokens"] == sent


def test_a_cap_of_zero_stays_zero() -> None:
    assert encode(request(dialect=Dialect.ANTHROPIC_MESSAGES, max_output_tokens=0))["max_tokens"] == 0


# --- turns


def test_turns_alternate_and_parallel_results_are_one_user_turn_before_text() -> None:
    assert messages(
        user("Hi"),
        user("Hi"),
        assistant(CALL),
        assistant(ToolCall("call_2", "g", "")),
        user(result("call_1", Text("one"))),
        user(Text("and?"), result("call_2", Text("two"))),
    ) == [
        {"role": "user", "content": [TEXT, TEXT]},
        {"role": "assistant", "content": [USE, {"type": "tool_use", "id": "call_2", "name": "g", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "one"}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "two"}]},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def test_empty_text_and_empty_messages_are_left_out() -> None:
    sent = encode(request(user("Hi"), assistant("", " \n"), user("Hi"), system=(Text(""), Text("Be brief."))))
    assert sent["system"] == [{"type": "text", "text": "Be brief."}]
    assert sent["messages"] == [{"role": "user", "content": [TEXT, TEXT]}]


@pytest.mark.parametrize("turns", [(assistant("Hi"),), (user(""), assistant("Hi"))])
def test_a_conversation_begins_with_the_user(turns: tuple[Turn, ...]) -> None:
    assert messages(*turns) == [
        {"role": "user", "content": [{"type": "text", "text": "."}]},
        {"role": "assistant", "content": [TEXT]},
    ]


def test_a_system_prompt_alone_gets_a_user_turn() -> None:
    assert messages(user("")) == [{"role": "user", "content": [{"type": "text", "text": "."}]}]


def test_an_answer_to_be_continued_ends_without_white_space() -> None:
    assert messages(user("Hi"), assistant("So \n"))[-1]["content"] == [{"type": "text", "text": "So"}]


REMINDER = {"type": "text", "text": "<system-reminder>\nnow\n</system-reminder>"}
NOW = {"role": "system", "content": [{"type": "text", "text": "now"}]}


@pytest.mark.parametrize(
    ("model", "turns", "sent"),
    [
        (ADAPTIVE, (user("Hi"), system("now")), [{"role": "user", "content": [TEXT]}, NOW]),
        (
            ADAPTIVE,
            (user("Hi"), system("now"), assistant("Hi")),
            [{"role": "user", "content": [TEXT]}, NOW, {"role": "assistant", "content": [TEXT]}],
        ),
        (ADAPTIVE, (user("Hi"), system("now"), user("Hi")), [{"role": "user", "content": [TEXT, REMINDER, TEXT]}]),
        (
            ADAPTIVE,
            (user("Hi"), assistant("Hi"), system("now"), user("Hi")),
            [
                {"role": "user", "content": [TEXT]},
                {"role": "assistant", "content": [TEXT]},
                {"role": "user", "content": [REMINDER, TEXT]},
            ],
        ),
        # What follows is empty, so the user does.
        (
            ADAPTIVE,
            (user("Hi"), system("now"), assistant(""), user("Hi")),
            [{"role": "user", "content": [TEXT, REMINDER, TEXT]}],
        ),
        ("claude-sonnet-5", (user("Hi"), system("now")), [{"role": "user", "content": [TEXT, REMINDER]}]),
        (BUDGETED, (user("Hi"), system("now")), [{"role": "user", "content": [TEXT, REMINDER]}]),
    ],
)
def test_system_turns_stand_where_they_may_and_are_reminders_elsewhere(
    model: str, turns: tuple[Turn, ...], sent: list[Any]
) -> None:
    assert messages(*turns, model=model) == sent


def test_consecutive_system_turns_are_one() -> None:
    two = [{"type": "text", "text": "now"}, {"type": "text", "text": "then"}]
    assert messages(user("Hi"), system("now"), system("then"))[1] == {"role": "system", "content": two}


def test_a_system_turn_between_calls_and_results_follows_the_results() -> None:
    sent = messages(user("Hi"), assistant(CALL), system("now"), user(result("call_1", Text("r"))))
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "text"]
    assert sent[2]["content"][1] == REMINDER


# --- blocks


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (Text("Hi", cache=CacheMark()), {**TEXT, "cache_control": {"type": "ephemeral"}}),
        (Text("Hi", cache=CacheMark("1h")), {**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        (Text("Hi", extras=Extras(Dialect.OPENAI_CHAT, {"x": 1})), TEXT),
        (Refusal("I cannot."), {"type": "text", "text": "I cannot."}),
        (
            Image(Inline("image/png", "AA=="), "auto"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        ),
        (
            Image(Inline("image/jpg", "AA==")),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA=="}},
        ),
        (Image(Url("https://a")), {"type": "image", "source": {"type": "url", "url": "https://a"}}),
        (
            Document(Inline("application/pdf", "AA=="), "a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "a.pdf",
            },
        ),
        (
            Document(Inline("text/csv; charset=utf-8", base64.b64encode("é,1".encode()).decode())),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é,1"}},
        ),
        (Document(Url("https://a")), {"type": "document", "source": {"type": "url", "url": "https://a"}}),
        (
            Document(PlainText("t"), context="c"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "t"},
                "context": "c",
            },
        ),
        (
            result("call_1", Text("no"), Image(Url("https://a")), is_error=True),
            {
                "type": "tool_result",
                "tool_use_id": "call_1",
                "content": [
                    {"type": "text", "text": "no"},
                    {"type": "image", "source": {"type": "url", "url": "https://a"}},
                ],
                "is_error": True,
            },
        ),
        (result("call_1", Text("")), {"type": "tool_result", "tool_use_id": "call_1"}),
        (CALL, USE),
        (
            ToolCall("call_1", "ns.f", "*** Begin", kind=ToolKind.CUSTOM),
            {"type": "tool_use", "id": "call_1", "name": flat_name(None, "ns.f"), "input": {"input": "*** Begin"}},
        ),
        (ToolCall("call_1", "f", "not json"), {**USE, "input": {"input": "not json"}}),
        (ToolCall("call_1", "f", "{}", namespace="ns"), {**USE, "name": "ns__f", "input": {}}),
    ],
)
def test_blocks(block: Block, sent: dict[str, Any]) -> None:
    assert sent_block(block) == sent


def test_ids_that_the_api_refuses_are_replaced_alike_in_call_and_result() -> None:
    sent = messages(user("Hi"), assistant(ToolCall("functions.f:0", "f", "")), user(result("functions.f:0", Text("r"))))
    call_id = sent[1]["content"][0]["id"]
    assert call_id == sent[2]["content"][0]["tool_use_id"]
    assert call_id.replace("_", "").replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("block", "feature"),
    [
        (Audio(Inline("audio/wav", "AA==")), "audio_input"),
        (Image(FileId("file-1")), "file_id"),
        (Document(FileId("file-1")), "file_id"),
        (Document(Inline("application/msword", "AA==")), "document_type"),
        (Document(Inline("text/plain", "/w==")), "document_type"),
        (Opaque(Dialect.OPENAI_RESPONSES, "item_reference", {}), "stored_conversations"),
    ],
)
def test_blocks_that_must_not_be_left_out_are_refused(block: Block, feature: str) -> None:
    with pytest.raises(Unsupported) as refused:
        messages(user(block))
    assert refused.value.feature == feature


def test_hints_in_blocks_are_noted() -> None:
    assert "detail" not in sent_block(Image(Url("https://a"), "low"), dropped=("image_detail",))
    citation = Citation(url="https://a", extras=Extras(Dialect.OPENAI_RESPONSES, {"type": "url_citation"}))
    assert sent_block(Text("Hi", (citation,)), dropped=("citations",)) == TEXT
    assert messages(user("Hi", Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", {})), dropped=("opaque_blocks",))


# --- reasoning


SIGNED = Reasoning("hm", Seal("anthropic", "sig/+=="))


def test_signatures_and_redacted_thinking_go_back_unchanged_in_their_order() -> None:
    redacted = Reasoning("", Seal("anthropic", "enc=="), is_redacted=True)
    sent = messages(user("Hi"), assistant(SIGNED, redacted, Text("Hi"), CALL), user(result("call_1")))
    assert sent[1]["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig/+=="},
        {"type": "redacted_thinking", "data": "enc=="},
    ]


def test_another_vendors_seal_is_left_out_and_its_text_is_not_shown() -> None:
    foreign = Reasoning("hm", Seal("openai", "enc"))
    sent = messages(user("Hi"), assistant(foreign, Text("Hi")), dropped=("reasoning_signature",))
    assert sent[1]["content"] == [TEXT]


def test_unsealed_thinking_goes_to_vendors_that_sign_nothing_only() -> None:
    turns = (user("Hi"), assistant(Reasoning("hm"), CALL), user(result("call_1")))
    assert messages(*turns)[1]["content"] == [USE]
    sent = messages(*turns, model=OTHER, issuer="deepseek")
    assert sent[1]["content"] == [{"type": "thinking", "thinking": "hm", "signature": ""}, USE]


# --- the rest of the body


@pytest.mark.parametrize(
    ("members", "feature"),
    [
        ({"sampling": Sampling(choices=2)}, "choices"),
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"modalities": ("text", "audio")}, "audio_output"),
        *(
            ({"extras": Extras(Dialect.OPENAI_RESPONSES, extras)}, "stored_conversations")
            for extras in (
                {"previous_response_id": "resp_1"},
                {"conversation": "c"},
                {"background": True},
                {"store": True},
            )
        ),
    ],
)
def test_what_must_not_be_left_out_is_refused(members: dict[str, Any], feature: str) -> None:
    with pytest.raises(Unsupported) as refused:
        encode(request(**members))
    assert refused.value.feature == feature


def test_hints_without_counterpart_are_dropped_and_noted() -> None:
    sampling = Sampling(seed=1, presence_penalty=1, frequency_penalty=1, logit_bias={"1": 1}, logprobs=False)
    hinting = request(
        sampling=sampling,
        verbosity="low",
        prompt_cache_key="k",
        metadata={"a": "b"},
        service_tier="flex",
        extras=Extras(Dialect.OPENAI_CHAT, {"web_search_options": {}, "store": True}),
    )
    dropped = (
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "verbosity",
        "prompt_cache_key",
        "server_tools",
        "metadata",
        "service_tier",
    )
    assert set(encode(hinting, dropped=dropped)) == {"model", "max_tokens", "stream", "messages"}


def test_penalties_of_zero_and_common_tiers_are_no_loss() -> None:
    encode(request(sampling=Sampling(presence_penalty=0, frequency_penalty=0.0), service_tier="auto"))


def test_the_user_is_the_user_id() -> None:
    assert encode(request(user="u1"))["metadata"] == {"user_id": "u1"}


@pytest.mark.parametrize("user_id", ["a@b.example", "+49 (30) 123-456", "u" * 257])
def test_a_user_id_that_the_api_refuses_is_dropped(user_id: str) -> None:
    assert "metadata" not in encode(request(user=user_id), dropped=("user",))


@pytest.mark.parametrize(
    ("model", "sampling", "sent", "dropped"),
    [
        (BUDGETED, Sampling(temperature=0), {"temperature": 0}, ()),
        (BUDGETED, Sampling(temperature=1.7), {"temperature": 1}, ()),
        (BUDGETED, Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5}, ("top_p",)),
        (BUDGETED, Sampling(temperature=0.5, top_p=1), {"temperature": 0.5}, ()),
        (BUDGETED, Sampling(top_p=0.9, top_k=5), {"top_p": 0.9, "top_k": 5}, ()),
        (OTHER, Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5, "top_p": 0.9}, ()),
        (ADAPTIVE, Sampling(temperature=0), {}, ("sampling",)),
        (ADAPTIVE, Sampling(top_k=5), {}, ("sampling",)),
        (ADAPTIVE, Sampling(temperature=1, top_p=1.0), {}, ()),
        (ADAPTIVE, Sampling(stop=("END", " \n")), {"stop_sequences": ["END"]}, ("stop_sequences",)),
    ],
)
def test_sampling(model: str, sampling: Sampling, sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    got = encode(request(sampling=sampling), model, dropped=dropped)
    names = ("temperature", "top_p", "top_k", "stop_sequences")
    assert {name: got[name] for name in names if name in got} == sent


OPEN = {"type": "object", "additionalProperties": {"type": "string"}}
PERSON = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
CLOSED = {
    "type": "object",
    "properties": {"age": {"type": "integer", "description": '{"minimum":0}'}},
    "required": ["age"],
    "additionalProperties": False,
}


def test_a_schema_is_closed_and_its_constraints_are_told() -> None:
    sent = encode(request(output=OutputFormat(OutputKind.SCHEMA, "person", schema=PERSON)))
    assert sent["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert "system" not in sent


@pytest.mark.parametrize(
    ("model", "output"),
    [
        (ADAPTIVE, OutputFormat(OutputKind.JSON)),
        (ADAPTIVE, OutputFormat(OutputKind.SCHEMA, schema=OPEN)),
        (OTHER, OutputFormat(OutputKind.SCHEMA, schema=PERSON)),
        ("claude-opus-4-1", OutputFormat(OutputKind.SCHEMA, schema=PERSON)),
    ],
)
def test_what_no_grammar_enforces_is_an_instruction(model: str, output: OutputFormat) -> None:
    sent = encode(request(output=output, system=(Text("Be brief."),)), model)
    assert "output_config" not in sent
    assert sent["system"][0] == {"type": "text", "text": "Be brief."}
    assert "JSON" in sent["system"][1]["text"]
