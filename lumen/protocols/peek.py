"""Reads the few members of a request that decide (model, stream, caps) and leaves all other bytes alone.

The body is split into its top-level members as raw bytes, so unknown members, big integers and nulls stay verbatim
for `rewrite`. Everything else is read by typed decoders that skip what they do not name; a 50 KB body costs tens of
microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from lumen.protocols.anthropic_messages.peek import FIELDS as _ANTHROPIC_MESSAGES
from lumen.protocols.attachments import NO_ATTACHMENTS, Attachments, PromptTally, is_set, text_of
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.peek import FIELDS as _OPENAI_CHAT
from lumen.protocols.openai_responses.peek import FIELDS as _OPENAI_RESPONSES
from lumen.protocols.request_fields import InvalidRequest, Members, RequestFields, server_tools_of

__all__ = ["REQUEST_FIELDS", "Attachments", "InvalidRequest", "Peek", "peek"]

REQUEST_FIELDS: Mapping[Dialect, RequestFields] = {
    Dialect.OPENAI_CHAT: _OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES: _OPENAI_RESPONSES,
    Dialect.ANTHROPIC_MESSAGES: _ANTHROPIC_MESSAGES,
}

# Integers above this are no counts; it also keeps every hold computable.
_INTEGER_MAX = 2**31 - 1

_BOOLEANS = {b"true": True, b"false": False}

_members = msgspec.json.Decoder(dict[str, Raw])


class Peek(msgspec.Struct, frozen=True):
    """What admission and routing need to know of one request."""

    dialect: Dialect
    fields: dict[str, Raw]  # top-level members, verbatim
    model: str
    stream: bool | None  # None: absent or null
    output_cap: int | None  # the largest one given
    choices: int = 1
    include_usage: bool | None = None  # chat: stream_options.include_usage
    attachments: Attachments = NO_ATTACHMENTS
    unbounded: tuple[str, ...] = ()  # what the body's bytes do not bound
    server_tools: tuple[str, ...] = ()  # run, and perhaps charged, by the provider
    modifiers: dict[str, str] = {}  # member -> value that changes the price


def peek(dialect: Dialect, body: bytes, *, is_output_cap_required: bool = True) -> Peek:
    """Raises InvalidRequest. `is_output_cap_required=False` is for Anthropic's count_tokens, which takes none."""
    fields = REQUEST_FIELDS[dialect]
    members = _split(fields, body)
    model = _model(fields, members)
    output_cap = _output_cap(fields, members, is_output_cap_required)
    stream = _boolean(fields, members, "stream")
    choices = _choices(fields, members)
    for name in fields.prompts:
        if is_set(members.get(name)):
            break
    else:
        raise fields.wording.missing(fields.prompts[0])
    is_special = not fields.special.isdisjoint(members)
    if is_special:
        for name, why in fields.refused_when_true.items():
            if name in members and _boolean(fields, members, name):
                raise InvalidRequest(why, name, "unsupported_parameter")
    tally = _tally(fields, members, is_special=is_special)
    return Peek(
        dialect,
        members,
        model,
        stream,
        output_cap,
        choices,
        _include_usage(fields, members),
        tally.attachments(),
        tuple(tally.unbounded),
        tuple(tally.server_tools),
        _modifiers(fields, members) if is_special else {},
    )


def _split(fields: RequestFields, body: bytes) -> dict[str, Raw]:
    try:
        # Skipped strings are not checked by the parser, and providers refuse what is not UTF-8.
        if not body.isascii():
            body.decode()
        return _members.decode(body)
    except UnicodeDecodeError as error:
        raise fields.wording.not_json(f"not UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise fields.wording.not_json(str(error)) from None
    except msgspec.DecodeError as error:
        raise fields.wording.not_json(str(error)) from None
    except RecursionError:
        raise fields.wording.not_json("nested too deeply") from None


def _value(members: Members, name: str) -> Any:
    """The member's value; None when absent or null. Long or nested values are never decoded through this."""
    raw = members.get(name)
    return None if raw is None else msgspec.json.decode(raw)


def _model(fields: RequestFields, members: Members) -> str:
    raw = members.get("model")
    if not is_set(raw):
        raise fields.wording.missing("model")
    model = text_of(raw)
    if model is None:
        raise fields.wording.wrong_type("model", "string", _value(members, "model"))
    if not model.strip():
        raise fields.wording.empty("model")
    return model


def _boolean(fields: RequestFields, members: Members, name: str) -> bool | None:
    raw = members.get(name)
    if raw is None:
        return None
    known = _BOOLEANS.get(bytes(raw))
    if known is not None:
        return known
    value = _value(members, name)
    if value is None or isinstance(value, bool):
        return value
    raise fields.wording.wrong_type(name, "boolean", value)


def _integer(fields: RequestFields, members: Members, name: str, minimum: int, maximum: int) -> int | None:
    value = _value(members, name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise fields.wording.wrong_type(name, "integer", value)
    if value < minimum:
        raise fields.wording.below_minimum(name, minimum, value)
    if value > maximum:
        raise fields.wording.above_maximum(name, maximum, value)
    return value


def _output_cap(fields: RequestFields, members: Members, is_required: bool) -> int | None:
    largest: int | None = None
    for name in fields.output_caps:
        if name in members:
            cap = _integer(fields, members, name, fields.output_cap_min, _INTEGER_MAX)
            if cap is not None and (largest is None or cap > largest):
                largest = cap
    if largest is not None:
        return largest
    if fields.is_output_cap_required and is_required:
        raise fields.wording.missing(fields.output_caps[0])
    return None


def _choices(fields: RequestFields, members: Members) -> int:
    if fields.choices is None or fields.choices not in members:
        return 1
    return _integer(fields, members, fields.choices, 1, fields.choices_max) or 1


def _include_usage(fields: RequestFields, members: Members) -> bool | None:
    if not fields.has_stream_usage_option or not is_set(members.get("stream_options")):
        return None
    options = stream_options(fields, members)
    return _boolean(fields, options, "include_usage")


def stream_options(fields: RequestFields, members: Members) -> dict[str, Raw]:
    """Raises InvalidRequest when they are not an object."""
    raw = members.get("stream_options")
    if not is_set(raw):
        return {}
    try:
        return _members.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise fields.wording.wrong_type("stream_options", "object", _value(members, "stream_options")) from None


def _tally(fields: RequestFields, members: Members, *, is_special: bool) -> PromptTally:
    tally = PromptTally()
    try:
        fields.tally_prompt(members, tally)
    except (msgspec.DecodeError, RecursionError) as error:
        name = fields.prompts[0]
        raise InvalidRequest(f"{name}: {error}", name) from None
    if not is_special:
        return tally
    for name in fields.unbounded:
        if name in members and is_set(members[name]):
            tally.unbound(name)
    for member, tool in fields.server_tool_members.items():
        if member in members and is_set(members[member]):
            tally.server_tool(tool)
    tools = members.get("tools")
    if is_set(tools):
        try:
            names = server_tools_of(tools, fields.is_server_tool)
        except (msgspec.DecodeError, RecursionError):
            raise fields.wording.wrong_type("tools", "array", _value(members, "tools")) from None
        for name in names:
            tally.server_tool(name)
    return tally


def _modifiers(fields: RequestFields, members: Members) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, meaning in fields.modifier_members.items():
        if name in members and is_set(members[name]):
            found[name] = meaning
    for name, free in fields.modifiers.items():
        if name not in members or not is_set(raw := members[name]):
            continue
        value = text_of(raw)
        if value is None:
            raise fields.wording.wrong_type(name, "string", _value(members, name))
        if value not in free:
            found[name] = value
    return found
