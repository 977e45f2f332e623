"""A Responses request -> canonical. https://platform.openai.com/docs/api-reference/responses/create

It is decoded only where the upstream does not speak Responses: what only OpenAI's own store could answer is refused
here, and `store` left out, which means true at OpenAI, is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import Text
from lumen.protocols.canonical.request import Request, Sampling
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.input_items import Conversation
from lumen.protocols.openai_responses.members import (
    Members,
    other_members,
    own_extras,
    read_optional_array,
    read_optional_boolean,
    read_optional_integer,
    read_optional_number,
    read_optional_object,
    read_optional_string,
    read_string,
)
from lumen.protocols.openai_responses.options import SEALED, decode_text, decode_thinking
from lumen.protocols.openai_responses.tools import decode_tool_choice, decode_tools

# The role of a system text that stood in `instructions`.
INSTRUCTIONS = "instructions"

_DECODED = frozenset(
    {
        "model", "input", INSTRUCTIONS, "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
        "temperature", "top_p", "top_logprobs", "reasoning", "include", "text", "prompt_cache_key", "metadata",
        "safety_identifier", "service_tier", "stream", "store", "background", "previous_response_id", "conversation",
        "prompt",
    }
)  # fmt: skip
_STORED = ("previous_response_id", "conversation", "prompt")


def decode_request(body: Mapping[str, Any]) -> Request:
    """Raises InvalidRequest for what is malformed, Unsupported for what needs OpenAI's store."""
    _refuse_stored(body)
    conversation = Conversation()
    instructions = read_optional_string(body, INSTRUCTIONS)
    if instructions is not None:
        conversation.system.append(Text(instructions, extras=own_extras({"role": INSTRUCTIONS})))
    if body.get("input") is None:
        raise wording.missing("input")
    conversation.add(body["input"])
    output, verbosity = decode_text(body)
    user = read_optional_string(body, "user")
    return Request(
        Dialect.OPENAI_RESPONSES,
        read_string(body, "model", ""),
        conversation.turns(),
        tuple(conversation.system),
        (*decode_tools(read_optional_array(body, "tools")), *conversation.tools),
        None if body.get("tool_choice") is None else decode_tool_choice(body["tool_choice"]),
        read_optional_boolean(body, "parallel_tool_calls"),
        max_output_tokens=read_optional_integer(body, "max_output_tokens"),
        sampling=_decode_sampling(body),
        thinking=decode_thinking(body),
        output=output,
        verbosity=verbosity,
        prompt_cache_key=read_optional_string(body, "prompt_cache_key"),
        user=read_optional_string(body, "safety_identifier") or user,
        metadata=read_optional_object(body, "metadata"),
        service_tier=read_optional_string(body, "service_tier"),
        extras=own_extras(_extras(body)),
    )


def _decode_sampling(body: Members) -> Sampling:
    return Sampling(
        temperature=read_optional_number(body, "temperature"),
        top_p=read_optional_number(body, "top_p"),
        top_logprobs=read_optional_integer(body, "top_logprobs"),
    )


def _extras(body: Members) -> dict[str, Any]:
    extras = other_members(body, _DECODED)
    include = [name for name in read_optional_array(body, "include") if name != SEALED]
    if include:
        extras["include"] = include
    return extras


def _refuse_stored(body: Members) -> None:
    for name in _STORED:
        if body.get(name) is not None:
            raise Unsupported(
                "stored_conversations",
                f"'{name}' is not supported for this model: nothing is stored. Please send the whole conversation.",
                name,
            )
    for name in ("store", "background"):
        if read_optional_boolean(body, name):
            raise Unsupported("stored_conversations", f"'{name}' is not supported for this model.", name)
