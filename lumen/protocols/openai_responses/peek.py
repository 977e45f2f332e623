"""Responses: the request members that decide.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from lumen.protocols import openai_wording as wording
from lumen.protocols.attachments import PromptTally, is_array, is_data_url, is_set, text_of
from lumen.protocols.request_fields import (
    InvalidRequest,
    Members,
    RequestFields,
    RequestWording,
    server_tools_of,
)

# Run by the client. `shell` and `tool_search` may run at either end.
_CLIENT_TOOLS = frozenset(
    {"function", "custom", "namespace", "local_shell", "apply_patch", "computer", "computer_use_preview"}
)

_OUTPUTS_WITH_PARTS = frozenset({"function_call_output", "custom_tool_call_output"})


class _Part(msgspec.Struct):
    type: str = ""
    image_url: Raw = Raw()
    file_url: Raw = Raw()
    file_data: Raw = Raw()
    file_id: Raw = Raw()
    input_audio: dict[str, Raw] | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    role: Raw = Raw()
    content: str | list[_Part] | None = None
    output: Raw = Raw()
    tools: Raw = Raw()


_items = msgspec.json.Decoder(list[_Item])
_parts = msgspec.json.Decoder(list[_Part])
_part = msgspec.json.Decoder(_Part)
_members = msgspec.json.Decoder(dict[str, Raw])


def _tally_prompt(members: Members, tally: PromptTally) -> None:
    prompt = members.get("input")
    if not is_array(prompt):
        return
    for item in _items.decode(prompt):
        # The type of a reference may be left out; a message without one has a role.
        if item.type == "item_reference" or (item.type is None and not is_set(item.role)):
            tally.unbound("item_reference")
        if type(item.content) is list:
            for part in item.content:
                _tally_part(part, tally)
        if is_array(item.tools):  # tools may also be handed over in the middle of a conversation
            for name in server_tools_of(item.tools, _is_server_tool):
                tally.server_tool(name)
        if item.type == "computer_call_output":
            _tally_part(_part.decode(item.output), tally)
        elif item.type in _OUTPUTS_WITH_PARTS and is_array(item.output):
            for part in _parts.decode(item.output):
                _tally_part(part, tally)


def _tally_part(part: _Part, tally: PromptTally) -> None:
    if part.type in ("input_image", "computer_screenshot"):
        if text_of(part.image_url) is not None and is_data_url(part.image_url):
            tally.image(part.image_url)
            return
        tally.image()
        tally.unbound("file_id" if is_set(part.file_id) else "image_url")
    elif part.type == "input_file":
        tally.file(part.file_data)
        if is_set(part.file_id):
            tally.unbound("file_id")
        if is_set(part.file_url):
            tally.unbound("file_url")
    elif part.type == "input_audio":
        tally.audio_clip((part.input_audio or {}).get("data"))


def _is_server_tool(kind: str | None, entry: Members) -> bool:
    if kind in _CLIENT_TOOLS:
        return False
    if kind == "tool_search":
        return text_of(entry.get("execution")) != "client"
    if kind == "shell":
        environment = entry.get("environment")
        return not (is_set(environment) and text_of(_members.decode(environment).get("type")) == "local")
    return True


def _missing(member: str) -> InvalidRequest:
    if member == "input":
        return InvalidRequest(
            "Missing required parameter: one of 'input', 'prompt', 'conversation' or 'previous_response_id' must be"
            " provided.",
            "input",
            "missing_required_parameter",
        )
    return wording.missing(member)


FIELDS = RequestFields(
    wording=RequestWording(
        wording.not_json,
        _missing,
        wording.empty,
        wording.wrong_type,
        wording.below_minimum,
        wording.above_maximum,
    ),
    prompts=("input", "prompt", "conversation", "previous_response_id"),
    tally_prompt=_tally_prompt,
    output_caps=("max_output_tokens",),
    is_server_tool=_is_server_tool,
    modifiers={"service_tier": frozenset({"auto", "default"})},
    unbounded=("previous_response_id", "conversation", "prompt"),
    # The answer would be fetched later, past the meter.
    refused_when_true={"background": "Background responses are not supported."},
)
