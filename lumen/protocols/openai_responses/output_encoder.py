"""Blocks -> the items a Responses client gets in `output`, whole or as a stream ends them.

One item per block: a message holds one text or one refusal, so that blocks may be streamed side by side and a stream's
items are the single answer's. Reasoning is one summary part with the text as it is (Anthropic's signature covers it),
and its seal always comes with it: without it a tool turn could not go on, and OpenAI sends it by default.
https://platform.openai.com/docs/api-reference/responses/object (`output`)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lumen.protocols.arguments import arguments_object, unwrap_custom_input
from lumen.protocols.canonical.content import (
    Block,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolKind,
)
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.citations import encode_annotations
from lumen.protocols.openai_responses.input_items import CALL_PREFIX
from lumen.protocols.openai_responses.sealed import encode_seal
from lumen.protocols.seals import client_call_id
from lumen.protocols.tool_names import original_name

Item = dict[str, Any]

COMPLETED = "completed"
_ID_PREFIXES = {ToolKind.FUNCTION: "fc_", ToolKind.CUSTOM: "ctc_", ToolKind.LOCAL_SHELL: "lsh_"}
_NO_ARGUMENTS = "{}"


class ClientCall(NamedTuple):
    """A call as the client knows its tool. `is_wrapped`: the upstream saw a function in its place."""

    kind: ToolKind
    name: str
    namespace: str | None
    call_id: str
    is_wrapped: bool

    def arguments(self, said: str) -> str:
        """For functions and custom tools."""
        if self.kind is ToolKind.CUSTOM:
            return unwrap_custom_input(said) if self.is_wrapped else said
        return said or _NO_ARGUMENTS


def client_call(
    request: Request, call_id: str, name: str, kind: ToolKind, namespace: str | None, seal: Seal | None
) -> ClientCall:
    """`kind` and `name` are the upstream's."""
    client_id = client_call_id(call_id, seal, CALL_PREFIX)
    if kind is not ToolKind.FUNCTION or namespace is not None:
        return ClientCall(kind, name, namespace, client_id, False)
    namespace, name = original_name(request, name)
    kind = request.tool_kind(name)
    return ClientCall(kind, name, namespace, client_id, kind is not ToolKind.FUNCTION)


def encode_output(blocks: Sequence[Block], reply: Reply) -> list[Item]:
    """Blocks only another dialect has are left out (declared loss `answer_opaque_blocks`)."""
    return [item for block in blocks if (item := _encode_block(block, reply)) is not None]


def _encode_block(block: Block, reply: Reply) -> Item | None:
    match block:
        case Text():
            annotations = encode_annotations(block.citations, len(block.text))
            return message_item(message_id(reply), text_part(block.text, annotations))
        case Refusal():
            return message_item(message_id(reply), refusal_part(block.text))
        case Reasoning():
            return reasoning_item(reasoning_id(reply), block.text, block.seal, block.is_redacted)
        case ToolCall():
            call = client_call(reply.request, block.call_id, block.name, block.kind, block.namespace, block.seal)
            return call_item(call_item_id(call, reply), call, block.arguments)
        case Opaque():
            return opaque_item(block)
        case _:
            return None


def opaque_item(block: Opaque) -> Item | None:
    return dict(block.raw) if block.dialect is Dialect.OPENAI_RESPONSES else None


def message_id(reply: Reply) -> str:
    return "msg_" + reply.new_id()


def reasoning_id(reply: Reply) -> str:
    return "rs_" + reply.new_id()


def call_item_id(call: ClientCall, reply: Reply) -> str:
    return _ID_PREFIXES[call.kind] + reply.new_id()


def message_item(item_id: str, *content: Item, status: str = COMPLETED) -> Item:
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def text_part(text: str, annotations: list[Item]) -> Item:
    return {"type": "output_text", "annotations": annotations, "logprobs": [], "text": text}


def refusal_part(text: str) -> Item:
    return {"type": "refusal", "refusal": text}


def summary_part(text: str) -> Item:
    return {"type": "summary_text", "text": text}


def reasoning_item(item_id: str, text: str, seal: Seal | None, is_redacted: bool) -> Item:
    item: Item = {"id": item_id, "type": "reasoning", "summary": [summary_part(text)] if text else []}
    if seal is not None:
        item["encrypted_content"] = encode_seal(seal, is_redacted)
    return item


def call_item(item_id: str, call: ClientCall, said: str, status: str = COMPLETED) -> Item:
    """`said`: the arguments as the model wrote them."""
    item: Item = {"id": item_id, "type": f"{call.kind.value}_call", "status": status, "call_id": call.call_id}
    if call.kind is ToolKind.LOCAL_SHELL:
        return {**item, "action": {"type": "exec", "command": [], "env": {}, **arguments_object(said)}}
    if call.kind is ToolKind.CUSTOM:
        item |= {"type": "custom_tool_call", "name": call.name, "input": call.arguments(said)}
    else:
        item |= {"name": call.name, "arguments": call.arguments(said)}
    if call.namespace is not None:
        item["namespace"] = call.namespace
    return item
