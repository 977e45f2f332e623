"""Turns and blocks on their way to Gemini."""

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
    ToolKind,
    Url,
)
from lumen.protocols.canonical.request import Role, Turn
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.losses import LOSSES
from tests.unit.protocols.gemini_generate.requests import (
    CLAUDE,
    GOOGLE,
    call,
    contents,
    encode,
    model,
    request,
    result,
    user,
)

HI = {"role": "user", "parts": [{"text": "Hi"}]}
SKIP = "skip_thought_signature_validator"
PNG = Image(Inline("image/png", "aGk="))


def test_the_system_prompt_is_apart_and_empty_parts_are_left_out() -> None:
    body, dropped = encode(request(user(Text("Hi"), Text("")), system=(Text("Be brief."), Text(""), Text("Be kind."))))
    assert body == {"contents": [HI], "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}}
    assert dropped == []


def test_neighbours_of_one_role_are_merged() -> None:
    assert contents(user(Text("a")), user(Text("b")), model(Text("c")), model(Text("d")), user(Text("e"))) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "e"}]},
    ]


def test_an_empty_turn_leaves_its_neighbours_merged() -> None:
    assert contents(user(Text("a")), model(Text("")), user(Text("b"))) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}
    ]


@pytest.mark.parametrize("turns", [[model(Text("Hello"))], [user(Text("")), model(Text("Hello"))]])
def test_a_conversation_begins_with_a_user(turns: list[Turn]) -> None:
    begun = contents(*turns)
    assert begun == [{"role": "user", "parts": [{"text": " "}]}, {"role": "model", "parts": [{"text": "Hello"}]}]


def test_a_system_message_within_the_conversation_is_a_users() -> None:
    middle = Turn(Role.SYSTEM, (Text("Now in French."),))
    assert contents(user(Text("Hi")), model(Text("a")), middle, user(Text("b")))[-1] == {
        "role": "user",
        "parts": [{"text": "Now in French."}, {"text": "b"}],
    }


def test_a_call_and_its_result() -> None:
    _, asked, answered = contents(
        user(Text("Hi")),
        model(Text("Looking."), call("id-1", "get_weather", '{"city":"Köln"}', seal=GOOGLE)),
        user(result("id-1", "Sunny")),
    )
    assert asked["parts"] == [
        {"text": "Looking."},
        {
            "functionCall": {"id": "id-1", "name": "get_weather", "args": {"city": "Köln"}},
            "thoughtSignature": "c2ln",
        },
    ]
    assert answered["parts"] == [
        {"functionResponse": {"id": "id-1", "name": "get_weather", "response": {"output": "Sunny"}}}
    ]


def test_parallel_results_are_one_turn_in_the_order_of_the_calls_with_text_after_them() -> None:
    _, _, answered = contents(
        user(Text("Hi")),
        model(call("a", "f"), call("b", "f"), call("c", "g")),
        user(Text("first")),
        user(result("c", "3")),
        user(result("b", "2"), result("a", "1")),
        user(Text("last")),
    )
    responses = [part["functionResponse"] for part in answered["parts"][:3]]
    assert [(said["id"], said["name"], said["response"]["output"]) for said in responses] == [
        ("a", "f", "1"),
        ("b", "f", "2"),
        ("c", "g", "3"),
    ]
    assert answered["parts"][3:] == [{"text": "first"}, {"text": "last"}]


def test_invented_ids_do_not_go_back_and_the_order_tells_calls_apart() -> None:
    _, asked, answered = contents(
        user(Text("Hi")),
        model(call("lumen-r1-0", arguments='{"n":1}'), call("lumen-r1-1", arguments='{"n":2}')),
        user(result("lumen-r1-1", "two"), result("lumen-r1-0", "one")),
    )
    assert [part["functionCall"] for part in asked["parts"]] == [
        {"name": "f", "args": {"n": 1}},
        {"name": "f", "args": {"n": 2}},
    ]
    assert [part["functionResponse"] for part in answered["parts"]] == [
        {"name": "f", "response": {"output": "one"}},
        {"name": "f", "response": {"output": "two"}},
    ]


def test_an_id_that_is_used_again_means_the_latest_call() -> None:
    steps = [model(call("x", "f")), user(result("x", "1")), model(call("x", "g")), user(result("x", "2"))]
    parts = [content["parts"][0] for content in contents(user(Text("Hi")), *steps)]
    assert [part["functionResponse"]["name"] for part in (parts[2], parts[4])] == ["f", "g"]


def test_a_failed_tool_says_error() -> None:
    *_, answered = contents(user(Text("Hi")), model(call("a")), user(result("a", "no", "way", is_error=True)))
    assert answered["parts"][0]["functionResponse"]["response"] == {"error": "no\nway"}


def test_a_result_without_content() -> None:
    *_, answered = contents(user(Text("Hi")), model(call("a")), user(result("a")))
    assert answered["parts"][0]["functionResponse"]["response"] == {"output": ""}


def test_media_in_a_result_is_part_of_it_for_gemini_3_and_beside_it_before() -> None:
    turns = [user(Text("Hi")), model(call("a")), user(result("a", "see", PNG, Document(PlainText("and read"))))]
    inline = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    *_, new = contents(*turns)
    *_, old = contents(*turns, model_name="gemini-2.5-flash")
    said = {"id": "a", "name": "f", "response": {"output": "see\nand read"}}
    assert new["parts"] == [{"functionResponse": {**said, "parts": [inline]}}]
    assert old["parts"] == [{"functionResponse": said}, inline]


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(Unsupported) as refused:
        contents(user(Text("Hi")), user(result("nowhere", "x")))
    assert refused.value.feature in LOSSES
    assert "nowhere" in refused.value.message


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
def test_a_call_without_arguments(arguments: str) -> None:
    _, asked = contents(user(Text("Hi")), model(call("a", arguments=arguments)))
    assert asked["parts"][0]["functionCall"]["args"] == {}


def test_a_custom_call_is_a_function_with_one_input() -> None:
    _, asked = contents(user(Text("Hi")), model(call("a", "apply_patch", "*** Begin", kind=ToolKind.CUSTOM)))
    assert asked["parts"][0]["functionCall"]["args"] == {"input": "*** Begin"}


def test_a_call_in_a_namespace_is_flattened() -> None:
    _, asked = contents(user(Text("Hi")), model(call("a", "read", namespace="files")))
    assert asked["parts"][0]["functionCall"]["name"] == "files__read"


def signatures(*turns: Turn, model_name: str = "gemini-3-pro-preview") -> list[list[Any]]:
    parts = (content["parts"] for content in contents(*turns, model_name=model_name) if content["role"] == "model")
    return [[part.get("thoughtSignature") for part in step if "functionCall" in part] for step in parts]


def test_the_first_unsigned_call_of_each_step_gets_the_documented_placeholder() -> None:
    steps = [
        *[model(call("a"), call("b")), user(result("a"), result("b"))],
        *[model(call("c", seal=CLAUDE)), user(result("c"))],
        *[model(call("d", seal=GOOGLE), call("e")), user(result("d"), result("e"))],
    ]
    assert signatures(user(Text("Hi")), *steps) == [[SKIP, None], [SKIP], ["c2ln", None]]
    assert signatures(user(Text("Hi")), *steps, model_name="gemini-flash-latest")[0] == [SKIP, None]
    assert signatures(user(Text("Hi")), *steps, model_name="gemini-2.5-pro")[0] == [None, None]


def test_signatures_go_back_on_their_parts_to_their_issuer() -> None:
    turn = model(Reasoning("Hm", GOOGLE), Text("a", seal=Seal("google", "dA==")), Text("", seal=Seal("google", "ZQ==")))
    body, dropped = encode(request(user(Text("Hi")), turn))
    assert body["contents"][1]["parts"] == [
        {"text": "Hm", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "a", "thoughtSignature": "dA=="},
        {"text": "", "thoughtSignature": "ZQ=="},
    ]
    assert dropped == []


@pytest.mark.parametrize("block", [Reasoning("Hm", CLAUDE), Reasoning("", CLAUDE, is_redacted=True), Reasoning("Hm")])
def test_thoughts_of_others_are_left_out_and_never_text(block: Reasoning) -> None:
    body, dropped = encode(request(user(Text("Hi")), model(block, Text("a", seal=CLAUDE))))
    assert body["contents"][1]["parts"] == [{"text": "a"}]
    assert dropped == ["reasoning_signature"]


def test_signatures_do_not_go_to_another_issuers_model() -> None:
    body, dropped = encode(request(user(Text("Hi")), model(call("a", seal=GOOGLE))), "gemma-4", issuer="someone")
    assert "thoughtSignature" not in body["contents"][1]["parts"][0]
    assert dropped == ["reasoning_signature"]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (PNG, [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]),
        (
            Image(Url("https://a.example/b.png?x=1")),
            [{"fileData": {"fileUri": "https://a.example/b.png?x=1", "mimeType": "image/png"}}],
        ),
        (Image(Url("https://a.example/b")), [{"fileData": {"fileUri": "https://a.example/b"}}]),
        (
            Document(Inline("application/pdf", "aGk="), "a.pdf"),
            [{"text": "a.pdf"}, {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}],
        ),
        (Document(PlainText("read me"), context="the manual"), [{"text": "the manual"}, {"text": "read me"}]),
        (Audio(Inline("audio/wav", "aGk=")), [{"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}]),
        (Refusal("I cannot"), [{"text": "I cannot"}]),
    ],
)
def test_other_blocks(block: Block, parts: list[dict[str, Any]]) -> None:
    assert contents(user(Text("Hi"), block))[0]["parts"] == [{"text": "Hi"}, *parts]


def test_a_file_of_another_provider_is_refused() -> None:
    with pytest.raises(Unsupported) as refused:
        contents(user(Image(FileId("file-1"))))
    assert refused.value.feature in LOSSES


@pytest.mark.parametrize(
    ("turn", "feature"),
    [
        (user(Text("Hi", cache=CacheMark())), "cache_control"),
        (user(Text("Hi", citations=(Citation("https://a.example"),))), "citations"),
        (user(Text("Hi"), Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", {})), "opaque_blocks"),
        (user(Text("Hi"), name="Ann"), "participant_name"),
    ],
)
def test_hints_are_left_out_and_noted(turn: Turn, feature: str) -> None:
    body, dropped = encode(request(turn))
    assert body == {"contents": [HI]}
    assert dropped == [feature]


def test_an_images_detail_is_noted_unless_it_says_nothing() -> None:
    assert encode(request(user(Image(Inline("image/png", "aGk="), detail="low"))))[1] == ["image_detail"]
    assert encode(request(user(Image(Inline("image/png", "aGk="), detail="auto"))))[1] == []
