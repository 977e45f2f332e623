"""Canonical turns -> `messages` that alternate: one user message, one assistant message, and so on.

Results of tools come first in their user message, right after the calls. A system turn stays one where the model knows
them and the place is allowed (after the user, before the assistant or at the end); elsewhere its text goes to the
user's message in <system-reminder>, as Anthropic's own clients write it for models without system turns.
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
"""

from __future__ import annotations

from lumen.protocols.anthropic_messages.content_encoder import ContentEncoder, Members, own_extras
from lumen.protocols.anthropic_messages.models import ModelTraits
from lumen.protocols.canonical.request import Role, Turn

# What the user says where the conversation has nothing of theirs to begin with: the API wants something.
NOTHING_SAID = "."

_REMINDER = "<system-reminder>\n{}\n</system-reminder>"
_THINKING = ("thinking", "redacted_thinking")


def encode_turns(turns: tuple[Turn, ...], content: ContentEncoder, traits: ModelTraits) -> list[Members]:
    encoded = [(turn, content.blocks(turn.content)) for turn in turns]
    spoken = [(turn, blocks) for turn, blocks in encoded if blocks]
    messages: list[Members] = []
    for index, (turn, blocks) in enumerate(spoken):
        if turn.role is not Role.SYSTEM:
            _add(messages, turn.role, blocks, turn)
        elif traits.has_system_turns and _may_stand(messages, [later.role for later, _ in spoken[index + 1 :]]):
            _add(messages, Role.SYSTEM, blocks, turn)
        else:
            _add(messages, Role.USER, [_reminder(blocks)])
    if not messages or messages[0]["role"] != Role.USER:
        messages.insert(0, {"role": Role.USER, "content": [{"type": "text", "text": NOTHING_SAID}]})
    for message in messages:
        if message["role"] == Role.USER:
            message["content"].sort(key=_is_no_result)
    _strip_prefill(messages[-1])
    return messages


def is_loop_unthought(messages: list[Members]) -> bool:
    """Whether the model shall go on after its calls, in a turn that it began without thinking."""
    spoken = [message for message in messages if message["role"] != Role.SYSTEM]
    if len(spoken) < 2 or spoken[-1]["role"] != Role.USER or _is_no_result(spoken[-1]["content"][0]):
        return False
    return spoken[-2]["content"][0]["type"] not in _THINKING


def _add(messages: list[Members], role: str, blocks: list[Members], turn: Turn | None = None) -> None:
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": blocks, **(own_extras(turn.extras) if turn else {})})


def _may_stand(messages: list[Members], roles_after: list[Role]) -> bool:
    """Whether a system turn is allowed between these."""
    next_role = next((role for role in roles_after if role is not Role.SYSTEM), Role.ASSISTANT)
    return bool(messages) and messages[-1]["role"] != Role.ASSISTANT and next_role is Role.ASSISTANT


def _reminder(blocks: list[Members]) -> Members:
    """One text block, with the last cache mark of those it is made of."""
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    text = _REMINDER.format("\n\n".join(str(block.get("text", "")) for block in blocks))
    return {"type": "text", "text": text, **({"cache_control": marks[-1]} if marks else {})}


def _is_no_result(block: Members) -> bool:
    return bool(block["type"] != "tool_result")


def _strip_prefill(last: Members) -> None:
    """The API refuses white space at the end of an answer that it shall continue."""
    block = last["content"][-1]
    if last["role"] == Role.ASSISTANT and block.get("type") == "text":
        block["text"] = block["text"].rstrip()
