"""`reasoning`, `include` and `text`, both ways.

https://platform.openai.com/docs/guides/reasoning, https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.request import OutputFormat, OutputKind, Request, Thinking, ThinkingMode
from lumen.protocols.openai_responses.members import (
    Members,
    other_members,
    own_extras,
    own_members,
    read_optional_array,
    read_optional_boolean,
    read_optional_object,
    read_optional_string,
    read_string,
)
from lumen.protocols.request_fields import InvalidRequest

SEALED = "reasoning.encrypted_content"

_REASONING_MEMBERS = frozenset({"effort", "summary"})
_SUMMARIES = frozenset({"auto", "concise", "detailed"})
# Anthropic's own guidance for budgets: 1024 is the least, 16k a usual one.
_LOW_BUDGET_TOKENS, _MEDIUM_BUDGET_TOKENS = 4096, 16384


def decode_thinking(body: Members) -> Thinking | None:
    """None when nothing was said. Raises InvalidRequest."""
    reasoning = read_optional_object(body, "reasoning") or {}
    summary = read_optional_string(reasoning, "summary", "reasoning")
    thinking = Thinking(
        effort=read_optional_string(reasoning, "effort", "reasoning"),
        display=summary or read_optional_string(reasoning, "generate_summary", "reasoning"),
        wants_sealed=SEALED in read_optional_array(body, "include"),
        extras=own_extras(other_members(reasoning, _REASONING_MEMBERS)),
    )
    return None if thinking == Thinking() else thinking


def encode_reasoning(thinking: Thinking) -> dict[str, Any]:
    """{} when nothing has to be said."""
    members = dict(own_members(thinking.extras))
    if (effort := _effort(thinking)) is not None:
        members["effort"] = effort
    if (summary := _summary(thinking)) is not None and members.get("generate_summary") is None:
        members["summary"] = summary
    return members


def _effort(thinking: Thinking) -> str | None:
    if thinking.effort is not None:
        return thinking.effort
    if thinking.mode is ThinkingMode.DISABLED:
        return "none"
    if thinking.mode is not ThinkingMode.BUDGET or thinking.budget_tokens is None:
        return None
    if thinking.budget_tokens < _LOW_BUDGET_TOKENS:
        return "low"
    return "medium" if thinking.budget_tokens < _MEDIUM_BUDGET_TOKENS else "high"


def _summary(thinking: Thinking) -> str | None:
    """Who turned thinking on expects to see it, unless they said how."""
    if thinking.display in _SUMMARIES:
        return thinking.display
    if thinking.display == "summarized":
        return "auto"
    is_on = thinking.mode in (ThinkingMode.BUDGET, ThinkingMode.ADAPTIVE)
    return "auto" if is_on and thinking.display != "omitted" else None


def encode_include(request: Request) -> list[str]:
    """Sealed reasoning is asked for where thinking was: models that cannot reason refuse it."""
    include = [str(name) for name in own_members(request.extras).get("include", ())]
    thinking = request.thinking
    if thinking is not None and (thinking.wants_sealed or thinking.mode is not ThinkingMode.DISABLED):
        include.append(SEALED)
    return include


def decode_text(body: Members) -> tuple[OutputFormat | None, str | None]:
    """(format, verbosity). Raises InvalidRequest."""
    text = read_optional_object(body, "text") or {}
    verbosity = read_optional_string(text, "verbosity", "text")
    members = read_optional_object(text, "format", "text")
    if members is None:
        return None, verbosity
    kind = read_string(members, "type", "text.format")
    try:
        output_kind = OutputKind(kind)
    except ValueError:
        raise InvalidRequest(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            "text.format.type",
            "invalid_value",
        ) from None
    if output_kind is not OutputKind.SCHEMA:
        return OutputFormat(output_kind), verbosity
    output = OutputFormat(
        output_kind,
        read_string(members, "name", "text.format"),
        read_optional_string(members, "description", "text.format"),
        read_optional_object(members, "schema", "text.format"),
        read_optional_boolean(members, "strict", "text.format"),
    )
    return output, verbosity


def encode_text(request: Request) -> dict[str, Any]:
    """{} when nothing has to be said."""
    members: dict[str, Any] = {}
    if request.output is not None:
        members["format"] = _encode_format(request.output)
    if request.verbosity is not None:
        members["verbosity"] = request.verbosity
    return members


def _encode_format(output: OutputFormat) -> dict[str, Any]:
    if output.kind is not OutputKind.SCHEMA:
        return {"type": output.kind.value}
    members: dict[str, Any] = {
        "type": output.kind.value,
        "name": output.name or "answer",
        "schema": output.schema or {},
    }
    if output.description is not None:
        members["description"] = output.description
    if output.strict is not None:
        members["strict"] = output.strict
    return members
