"""What `peek` finds in a request, and how it refuses one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.protocols.dialects import Dialect
from lumen.protocols.peek import Attachments, InvalidRequest, Peek, peek

CHAT, RESPONSES, ANTHROPIC = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES
MINIMAL: dict[Dialect, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"model": "m", "input": "hi"},
    ANTHROPIC: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}
by_dialect = pytest.mark.parametrize("dialect", list(MINIMAL))
DATA_URL = "data:image/png;base64," + "A" * 100


def peek_at(dialect: Dialect, **members: Any) -> Peek:
    return peek(dialect, json.dumps({**MINIMAL[dialect], **members}).encode())


def refusal(dialect: Dialect, body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        peek(dialect, body)
    return caught.value


def refusal_of(dialect: Dialect, *without: str, **members: Any) -> InvalidRequest:
    kept = {name: value for name, value in MINIMAL[dialect].items() if name not in without}
    return refusal(dialect, json.dumps({**kept, **members}).encode())


def chat_parts(*parts: dict[str, Any]) -> Peek:
    return peek_at(CHAT, messages=[{"role": "user", "content": list(parts)}])


def anthropic_parts(*parts: dict[str, Any]) -> Peek:
    return peek_at(ANTHROPIC, messages=[{"role": "user", "content": list(parts)}])


@by_dialect
def test_a_minimal_request(dialect: Dialect) -> None:
    found = peek_at(dialect)
    assert (found.model, found.stream, found.choices, found.attachments) == ("m", None, 1, Attachments())
    assert (found.unbounded, found.server_tools, found.modifiers, found.include_usage) == ((), (), {}, None)
    assert found.output_cap == (9 if dialect is ANTHROPIC else None)


@by_dialect
@pytest.mark.parametrize(("given", "stream"), [(True, True), (False, False), (None, None)])
def test_stream_null_is_absent(dialect: Dialect, given: bool | None, stream: bool | None) -> None:
    assert peek_at(dialect, stream=given).stream is stream


def test_members_stay_verbatim() -> None:
    body = b'{ "model":"m","messages" : [ ] , "seed":123456789012345678901234567890,"x":1.0e5,"y":null,"u":"\\u00e9"}'
    fields = peek(CHAT, body).fields
    raw = {name: bytes(value) for name, value in fields.items()}
    assert raw["seed"] == b"123456789012345678901234567890"
    assert raw["x"] == b"1.0e5"
    assert raw["y"] == b"null"
    assert raw["u"] == b'"\\u00e9"'


@pytest.mark.parametrize(
    ("members", "cap"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None}, None),
    ],
)
def test_chat_output_caps(members: dict[str, Any], cap: int | None) -> None:
    assert peek_at(CHAT, **members).output_cap == cap


def test_responses_output_cap() -> None:
    assert peek_at(RESPONSES, max_output_tokens=5).output_cap == 5


def test_choices_and_usage_option_of_chat() -> None:
    found = peek_at(CHAT, n=3, stream_options={"include_usage": False})
    assert (found.choices, found.include_usage) == (3, False)


def test_count_tokens_takes_no_output_cap() -> None:
    body = json.dumps({"model": "m", "messages": []}).encode()
    assert peek(ANTHROPIC, body, is_output_cap_required=False).output_cap is None


@by_dialect
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"[1]",
        b'"text"',
        b"null",
        b'{"model":"m"} trailing',
        b'\xef\xbb\xbf{"model":"m"}',
        b'{"model":"m","x":"\xff\xfe"}',
        b'{"model":"m","x":NaN}',
        b'{"x":' * 5000 + b"1" + b"}" * 5000,
        b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(dialect: Dialect, body: bytes) -> None:
    error = refusal(dialect, body)
    assert "JSON" in error.message
    assert len(error.message) < 400


@by_dialect
def test_deep_nesting_inside_the_prompt_is_refused(dialect: Dialect) -> None:
    nested = b'[{"content":' * 5000 + b'""' + b"}]" * 5000
    name = b"input" if dialect is RESPONSES else b"messages"
    refusal(dialect, b'{"model":"m","max_tokens":1,"' + name + b'":' + nested + b"}")


def test_openai_words_a_missing_model_its_way() -> None:
    assert refusal_of(CHAT, "model").message == "you must provide a model parameter"
    error = refusal_of(RESPONSES, "model")
    assert (error.message, error.param, error.code) == (
        "Missing required parameter: 'model'.",
        "model",
        "missing_required_parameter",
    )


def test_openai_words_missing_messages_its_way() -> None:
    error = refusal_of(CHAT, "messages")
    assert (error.message, error.param) == ("Missing required parameter: 'messages'.", "messages")
    assert refusal_of(RESPONSES, "input").code == "missing_required_parameter"


@pytest.mark.parametrize("member", ["model", "messages", "max_tokens"])
def test_anthropic_words_missing_members_its_way(member: str) -> None:
    assert refusal_of(ANTHROPIC, member).message == f"{member}: Field required"
    assert refusal_of(ANTHROPIC, **{member: None}).message == f"{member}: Field required"


@by_dialect
@pytest.mark.parametrize("model", ["", " ", 5, ["m"], {"a": 1}, True])
def test_a_model_that_is_no_name_is_refused(dialect: Dialect, model: Any) -> None:
    assert "model" in refusal_of(dialect, model=model).message


@pytest.mark.parametrize(
    ("dialect", "members", "message"),
    [
        (
            CHAT,
            {"stream": "yes"},
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
        ),
        (CHAT, {"n": 1.5}, "Invalid type for 'n': expected an integer, but got a decimal number instead."),
        (
            CHAT,
            {"max_tokens": True},
            "Invalid type for 'max_tokens': expected an integer, but got a boolean instead.",
        ),
        (
            CHAT,
            {"max_tokens": 0},
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        (
            CHAT,
            {"n": 129},
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
        ),
        (CHAT, {"tools": 5}, "Invalid type for 'tools': expected an array, but got an integer instead."),
        (
            CHAT,
            {"stream_options": []},
            "Invalid type for 'stream_options': expected an object, but got an array instead.",
        ),
        (
            RESPONSES,
            {"max_output_tokens": "9"},
            "Invalid type for 'max_output_tokens': expected an integer, but got a string instead.",
        ),
        (ANTHROPIC, {"stream": 1}, "stream: Input should be a valid boolean"),
        (ANTHROPIC, {"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        (ANTHROPIC, {"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        (ANTHROPIC, {"tools": {}}, "tools: Input should be a valid list"),
    ],
)
def test_wrong_types_are_worded_as_the_official_api_does(
    dialect: Dialect, members: dict[str, Any], message: str
) -> None:
    assert refusal_of(dialect, **members).message == message


@pytest.mark.parametrize("value", [10**30, 2**31])
def test_absurd_caps_are_refused(value: int) -> None:
    assert refusal_of(CHAT, max_tokens=value).code == "integer_above_max_value"


@by_dialect
@pytest.mark.parametrize("prompt", [[5], [["x"]], [{"content": 5}], [{"content": [5]}]])
def test_a_prompt_of_the_wrong_shape_is_refused(dialect: Dialect, prompt: Any) -> None:
    refusal_of(dialect, **{"input" if dialect is RESPONSES else "messages": prompt})


def test_background_responses_are_refused() -> None:
    assert refusal_of(RESPONSES, background=True).param == "background"
    assert peek_at(RESPONSES, background=False).model == "m"


def test_chat_attachments_are_counted_with_their_bytes() -> None:
    found = chat_parts(
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "input_audio", "input_audio": {"data": "B" * 50, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "C" * 70}},
    )
    assert found.attachments == Attachments(1, 1, 1, len(DATA_URL), 70, 50)
    assert found.attachments.base64_bytes == len(DATA_URL) + 120
    assert found.unbounded == ()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "image_url"),
        ({"type": "image_url", "image_url": "https://example.com/a.png"}, "image_url"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_id"),
        ({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}, "video_url"),
        ({"type": "input_audio", "input_audio": {"data": "https://example.com/a.wav"}}, "audio_url"),
    ],
)
def test_what_chat_points_to_is_unbounded(part: dict[str, Any], name: str) -> None:
    assert chat_parts(part, part).unbounded == (name,)


def test_an_inline_video_counts_as_a_file() -> None:
    found = chat_parts({"type": "video_url", "video_url": {"url": DATA_URL}})
    assert found.attachments == Attachments(files=1, file_bytes=len(DATA_URL))
    assert found.unbounded == ()


def test_parts_that_only_other_providers_know_are_accepted() -> None:
    found = chat_parts({"type": "video", "video": ["a", "b"]}, {"type": "input_audio"}, {"type": "file", "file": "f-1"})
    assert (found.attachments.files, found.attachments.audio, found.unbounded) == (1, 1, ("file_id",))


def test_anthropic_attachments_also_inside_tool_results_and_documents() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 40}}
    found = anthropic_parts(
        image,
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, image]},
        {"type": "document", "source": {"type": "content", "content": [image]}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "B" * 60}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "error"}},
    )
    assert found.attachments == Attachments(3, 1, 0, 120, 60, 0)
    assert found.unbounded == ()


def test_an_image_inside_tool_arguments_hides_nothing() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 4000}}
    found = anthropic_parts({"type": "tool_use", "id": "t", "name": "n", "input": {"content": [image], **image}})
    assert found.attachments == Attachments()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, "image_url"),
        ({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}, "file_url"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "file_id"),
        ({"type": "container_upload", "file_id": "f"}, "file_id"),
    ],
)
def test_what_anthropic_points_to_is_unbounded(part: dict[str, Any], name: str) -> None:
    assert anthropic_parts(part).unbounded == (name,)


def test_responses_attachments() -> None:
    found = peek_at(
        RESPONSES,
        input=[
            {"role": "user", "content": [{"type": "input_image", "image_url": DATA_URL, "detail": "auto"}]},
            {"role": "user", "content": [{"type": "input_file", "filename": "a", "file_data": "B" * 30}]},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_image", "image_url": DATA_URL}],
            },
            {
                "type": "computer_call_output",
                "call_id": "c",
                "output": {"type": "computer_screenshot", "image_url": DATA_URL},
            },
            {"type": "function_call_output", "call_id": "c", "output": "text"},
            {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "zzz"},
        ],
    )
    assert found.attachments == Attachments(3, 1, 0, 3 * len(DATA_URL), 30, 0)
    assert found.unbounded == ()


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        ({"input": [{"id": "msg_1"}]}, "item_reference"),
        ({"input": [{"id": "msg_1", "type": None}]}, "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]}, "file_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "file_id"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
    ],
)
def test_what_responses_points_to_is_unbounded(members: dict[str, Any], name: str) -> None:
    assert peek_at(RESPONSES, **members).unbounded == (name,)


def test_a_stored_conversation_replaces_the_input() -> None:
    body = json.dumps({"model": "m", "previous_response_id": "resp_1"}).encode()
    assert peek(RESPONSES, body).unbounded == ("previous_response_id",)


@pytest.mark.parametrize(
    ("dialect", "members", "names"),
    [
        (CHAT, {"tools": [{"type": "function", "function": {}}, {"type": "custom", "custom": {}}]}, ()),
        (CHAT, {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}, ("builtin_function",)),
        (CHAT, {"web_search_options": {}}, ("web_search",)),
        (RESPONSES, {"tools": [{"type": "function", "name": "f"}, {"type": "namespace"}, {"type": "local_shell"}]}, ()),
        (RESPONSES, {"tools": [{"type": "tool_search", "execution": "client"}]}, ()),
        (RESPONSES, {"tools": [{"type": "tool_search"}]}, ("tool_search",)),
        (RESPONSES, {"tools": [{"type": "shell", "environment": {"type": "local"}}]}, ()),
        (RESPONSES, {"tools": [{"type": "shell"}, {"type": "mcp"}]}, ("shell", "mcp")),
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]}, ("web_search",)),
        (ANTHROPIC, {"tools": [{"name": "Bash", "input_schema": {}}, {"type": "custom", "name": "x"}]}, ()),
        (ANTHROPIC, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, ()),
        (
            ANTHROPIC,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}] * 2},
            ("web_search_20250305",),
        ),
        (ANTHROPIC, {"mcp_servers": [{"type": "url", "url": "https://x"}]}, ("mcp",)),
    ],
)
def test_tools_that_run_at_the_provider(dialect: Dialect, members: dict[str, Any], names: tuple[str, ...]) -> None:
    found = peek_at(dialect, **members)
    assert found.server_tools == names
    assert found.unbounded == names


@pytest.mark.parametrize(
    ("dialect", "members", "modifiers"),
    [
        (CHAT, {"service_tier": "priority"}, {"service_tier": "priority"}),
        (CHAT, {"service_tier": "auto"}, {}),
        (RESPONSES, {"service_tier": "default"}, {}),
        (RESPONSES, {"service_tier": None}, {}),
        (RESPONSES, {"service_tier": "flex"}, {"service_tier": "flex"}),
        (ANTHROPIC, {"service_tier": "standard_only", "speed": "standard"}, {}),
        (ANTHROPIC, {"fallbacks": "default"}, {"fallbacks": "requested"}),
        (ANTHROPIC, {"fallbacks": None}, {}),
        (ANTHROPIC, {"speed": "fast", "inference_geo": "us"}, {"speed": "fast", "inference_geo": "us"}),
    ],
)
def test_modifiers_are_values_that_change_the_price(
    dialect: Dialect, members: dict[str, Any], modifiers: dict[str, str]
) -> None:
    assert peek_at(dialect, **members).modifiers == modifiers


def test_a_modifier_that_is_no_text_is_refused() -> None:
    refusal_of(CHAT, service_tier=5)
