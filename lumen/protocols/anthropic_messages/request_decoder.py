"""A client's Messages request -> canonical. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.anthropic_messages.content_decoder import decode_content, decode_texts
from lumen.protocols.anthropic_messages.members import Members, extras, wrong_tag
from lumen.protocols.anthropic_messages.peek import FIELDS
from lumen.protocols.canonical.content import Text
from lumen.protocols.canonical.request import (
    FunctionTool,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Request,
    Role,
    Sampling,
    Thinking,
    ThinkingMode,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.request_fields import InvalidRequest

_CHOICES: Mapping[str, ToolChoiceMode] = {
    "auto": ToolChoiceMode.AUTO,
    "any": ToolChoiceMode.REQUIRED,
    "tool": ToolChoiceMode.NAMED,
    "none": ToolChoiceMode.NONE,
}
_THINKING: Mapping[str, ThinkingMode] = {
    "adaptive": ThinkingMode.ADAPTIVE,
    "between_tools": ThinkingMode.DISABLED,
    "disabled": ThinkingMode.DISABLED,
    "enabled": ThinkingMode.BUDGET,
}


def decode_request(body: Mapping[str, Any]) -> Request:
    """Raises InvalidRequest, worded as Anthropic does."""
    members = Members(body, "")
    members.value("stream")
    max_tokens = members.integer("max_tokens")
    if max_tokens is None:
        raise FIELDS.wording.missing("max_tokens")
    leading, turns = _decode_messages(members)
    tool_choice, parallel = _decode_tool_choice(members.below("tool_choice"))
    config = members.below("output_config")
    thinking = _decode_thinking(members.below("thinking"), config)
    output = _decode_output(members, config)
    user, metadata = _decode_metadata(members.below("metadata"))
    return Request(
        dialect=Dialect.ANTHROPIC_MESSAGES,
        model=members.required_text("model"),
        turns=turns,
        system=decode_texts(members, "system") + leading,
        tools=tuple(_decode_tool(tool) for tool in members.each("tools")),
        tool_choice=tool_choice,
        parallel_tool_calls=parallel,
        max_output_tokens=max_tokens,
        sampling=_decode_sampling(members),
        thinking=thinking,
        output=output,
        cache=members.cache(),
        user=user,
        metadata=metadata,
        service_tier=members.text("service_tier"),
        extras=extras(_rest(members, config)),
    )


def _decode_messages(members: Members) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """(the text of system messages before all others, the turns)."""
    if members.raw.get("messages") is None:
        raise FIELDS.wording.missing("messages")
    leading: list[Text] = []
    turns: list[Turn] = []
    for message in members.each("messages"):
        turn = _decode_message(message)
        if turn.role is Role.SYSTEM and not turns:
            leading += (block for block in turn.content if isinstance(block, Text))
        else:
            turns.append(turn)
    if not turns:
        raise InvalidRequest("messages: at least one message is required")
    return tuple(leading), tuple(turns)


def _decode_message(message: Members) -> Turn:
    role = message.required_text("role")
    if role not in (Role.USER, Role.ASSISTANT, Role.SYSTEM):
        raise InvalidRequest(f"{message.at('role')}: Input should be 'user', 'assistant' or 'system'")
    if message.raw.get("content") is None:
        raise FIELDS.wording.missing(message.at("content"))
    content = decode_texts(message, "content") if role == Role.SYSTEM else decode_content(message)
    return Turn(Role(role), content, extras=message.extras())


def _decode_tool(tool: Members) -> Tool:
    kind = tool.text("type")
    if kind not in (None, "custom"):
        return OpaqueTool(Dialect.ANTHROPIC_MESSAGES, kind, tool.raw)
    return FunctionTool(
        tool.required_text("name"),
        tool.text("description"),
        tool.required_mapping("input_schema"),
        tool.boolean("strict"),
        cache=tool.cache(),
        extras=tool.extras(),
    )


def _decode_tool_choice(choice: Members | None) -> tuple[ToolChoice | None, bool | None]:
    """(the choice, whether calls may be parallel)"""
    if choice is None:
        return None, None
    kind = choice.required_text("type")
    mode = _CHOICES.get(kind)
    if mode is None:
        raise wrong_tag("tool_choice", kind, tuple(_CHOICES))
    names = (choice.required_text("name"),) if mode is ToolChoiceMode.NAMED else ()
    is_disabled = choice.boolean("disable_parallel_tool_use")
    return ToolChoice(mode, names, choice.extras()), None if is_disabled is None else not is_disabled


def _decode_thinking(thinking: Members | None, config: Members | None) -> Thinking | None:
    effort = config.text("effort") if config else None
    if thinking is None:
        return Thinking(effort=effort) if effort else None
    kind = thinking.required_text("type")
    mode = _THINKING.get(kind)
    if mode is None:
        raise wrong_tag("thinking", kind, tuple(_THINKING))
    budget, display = thinking.integer("budget_tokens"), thinking.text("display")
    if mode is ThinkingMode.BUDGET and budget is None:
        raise FIELDS.wording.missing("thinking.enabled.budget_tokens")
    more = thinking.rest() | ({"type": kind} if kind == "between_tools" else {})
    return Thinking(mode, effort, budget, display, extras=extras(more))


def _decode_output(members: Members, config: Members | None) -> OutputFormat | None:
    """`output_config.format`, or `output_format`, its name in the beta."""
    older = members.below("output_format")
    output = (config.below("format") if config else None) or older
    if output is None:
        return None
    kind = output.required_text("type")
    if kind != OutputKind.SCHEMA:
        raise wrong_tag(output.path, kind, (OutputKind.SCHEMA,))
    return OutputFormat(OutputKind.SCHEMA, output.text("name"), schema=output.required_mapping("schema"))


def _decode_metadata(metadata: Members | None) -> tuple[str | None, Mapping[str, Any] | None]:
    if metadata is None:
        return None, None
    return metadata.text("user_id"), metadata.rest() or None


def _decode_sampling(members: Members) -> Sampling:
    stops = members.array("stop_sequences")
    for index, stop in enumerate(stops):
        if not isinstance(stop, str):
            raise FIELDS.wording.wrong_type(f"stop_sequences.{index}", "string", stop)
    return Sampling(
        temperature=members.number("temperature"),
        top_p=members.number("top_p"),
        top_k=members.integer("top_k"),
        stop=tuple(stops),
    )


def _rest(members: Members, config: Members | None) -> dict[str, Any]:
    more = config.rest() if config else {}
    return members.rest() | ({"output_config": more} if more else {})
