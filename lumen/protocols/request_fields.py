"""What `peek` has to know about a dialect's request, as data: one `RequestFields` per dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lumen.protocols.attachments import PromptTally, text_of

Members = Mapping[str, msgspec.Raw]

_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class InvalidRequest(ValueError):
    """The client's mistake, worded as the dialect's official API words it. Becomes a 400."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class RequestWording:
    """How the official API words a refusal. Each returns the exception to raise."""

    not_json: Callable[[str], InvalidRequest]  # the parser's complaint
    missing: Callable[[str], InvalidRequest]  # member
    empty: Callable[[str], InvalidRequest]  # member
    wrong_type: Callable[[str, str, Any], InvalidRequest]  # member; boolean, integer, string, array or object; value
    below_minimum: Callable[[str, int, int], InvalidRequest]  # member, minimum, value
    above_maximum: Callable[[str, int, int], InvalidRequest]  # member, maximum, value


@dataclass(frozen=True, slots=True)
class RequestFields:
    """The members of one dialect's request body that decide, and how to read the others' cost."""

    wording: RequestWording
    # One of these has to be there; the first is the one a refusal names.
    prompts: tuple[str, ...]
    # Counts attachments and what bytes cannot bound. Raises msgspec.ValidationError for parts of the wrong shape.
    tally_prompt: Callable[[Members, PromptTally], None]
    # All the names of the output cap; the first is the one Lumen adds where the client used none.
    output_caps: tuple[str, ...]
    # Type of an entry of `tools` (None: absent) and its members -> does it run at the provider?
    is_server_tool: Callable[[str | None, Members], bool]
    output_cap_min: int = 1
    is_output_cap_required: bool = False
    # The member that multiplies the answers, and the most it may ask for.
    choices: str | None = None
    choices_max: int = 1
    # Member -> the values that change no price. Any other value is a modifier.
    modifiers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Members that change the price by being set at all -> the modifier's value.
    modifier_members: Mapping[str, str] = field(default_factory=dict)
    # Members which, when set, put things into the prompt that the body's bytes do not bound.
    unbounded: tuple[str, ...] = ()
    # Members which are a server tool by themselves -> the tool's name.
    server_tool_members: Mapping[str, str] = field(default_factory=dict)
    # Members that must not be true -> why not.
    refused_when_true: Mapping[str, str] = field(default_factory=dict)
    has_stream_usage_option: bool = False
    # Members of which any asks for a closer look: most requests have none.
    special: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        special = {"tools", *self.modifiers, *self.modifier_members, *self.unbounded}
        special |= {*self.server_tool_members, *self.refused_when_true}
        object.__setattr__(self, "special", frozenset(special))


def server_tools_of(tools: msgspec.Raw, is_server_tool: Callable[[str | None, Members], bool]) -> list[str]:
    """Types of the entries that run at the provider. Raises msgspec.DecodeError unless it is an array of objects."""
    kinds = [(text_of(entry.get("type")), entry) for entry in _tools.decode(tools)]
    return [kind or "unknown" for kind, entry in kinds if is_server_tool(kind, entry)]
