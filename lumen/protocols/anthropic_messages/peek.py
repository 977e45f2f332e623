"""Anthropic Messages: the request members that decide.

https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from lumen.protocols.attachments import PromptTally, text_of
from lumen.protocols.request_fields import InvalidRequest, Members, RequestFields, RequestWording

# Run by the client, as far as their type says; types carry a date.
_CLIENT_TOOL_PREFIXES = ("bash_", "text_editor_", "computer_", "memory_", "browser_")

_PYDANTIC_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "string": "string",
    "array": "list",
    "object": "dictionary",
}


class _Part(msgspec.Struct):
    type: str = "text"
    source: Raw = Raw()
    content: str | list[_Part] | dict[str, Raw] | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


_messages = msgspec.json.Decoder(list[_Message])
_source = msgspec.json.Decoder(dict[str, Raw])
_parts = msgspec.json.Decoder(str | list[_Part])


def _tally_prompt(members: Members, tally: PromptTally) -> None:
    for message in _messages.decode(members["messages"]):
        if type(message.content) is list:
            _tally_parts(message.content, tally)


def _tally_parts(parts: list[_Part], tally: PromptTally) -> None:
    for part in parts:
        kind = part.type
        if kind == "text":
            continue
        if kind == "image":
            _tally_source(_source.decode(part.source), "image", tally)
        elif kind == "document":
            _tally_source(_source.decode(part.source), "file", tally)
        elif kind == "container_upload":
            tally.unbound("file_id")
        elif kind == "tool_result" and type(part.content) is list:
            _tally_parts(part.content, tally)


def _tally_source(source: Members, kind: str, tally: PromptTally) -> None:
    source_type = text_of(source.get("type"))
    if source_type == "text":
        return  # plain text: its bytes bound it
    if source_type == "content":
        content = _parts.decode(source["content"]) if "content" in source else ""
        if isinstance(content, list):
            _tally_parts(content, tally)
        return
    inline = source.get("data")
    if kind == "image":
        tally.image(inline)
    else:
        tally.file(inline)
    if source_type == "url":
        tally.unbound("image_url" if kind == "image" else "file_url")
    elif source_type == "file":
        tally.unbound("file_id")


def _is_server_tool(kind: str | None, entry: Members) -> bool:
    return kind is not None and kind != "custom" and not kind.startswith(_CLIENT_TOOL_PREFIXES)


def _wrong_type(member: str, expected: str, value: Any) -> InvalidRequest:
    return InvalidRequest(f"{member}: Input should be a valid {_PYDANTIC_TYPES[expected]}")


FIELDS = RequestFields(
    wording=RequestWording(
        not_json=lambda detail: InvalidRequest(f"The request body is not valid JSON: {detail}"),
        missing=lambda member: InvalidRequest(f"{member}: Field required"),
        empty=lambda member: InvalidRequest(f"{member}: String should have at least 1 character"),
        wrong_type=_wrong_type,
        below_minimum=lambda member, minimum, value: InvalidRequest(
            f"{member}: Input should be greater than or equal to {minimum}"
        ),
        above_maximum=lambda member, maximum, value: InvalidRequest(
            f"{member}: Input should be less than or equal to {maximum}"
        ),
    ),
    prompts=("messages",),
    tally_prompt=_tally_prompt,
    output_caps=("max_tokens",),
    output_cap_min=0,  # 0 writes the prompt cache and answers nothing
    is_output_cap_required=True,
    is_server_tool=_is_server_tool,
    modifiers={
        "service_tier": frozenset({"auto", "standard_only", "standard"}),
        "speed": frozenset({"standard"}),
        "inference_geo": frozenset({"global"}),
    },
    modifier_members={"fallbacks": "requested"},  # another model answers, at its own price
    server_tool_members={"mcp_servers": "mcp"},
)
