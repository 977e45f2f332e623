"""Items of an upstream's `output` -> blocks, and why an answer ended.

https://platform.openai.com/docs/api-reference/responses/object (`output`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Block, Opaque, Reasoning, Refusal, Seal, Text, ToolCall, ToolKind
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.citations import decode_annotations
from lumen.protocols.openai_responses.input_items import LOCAL_SHELL, reasoning_text
from lumen.protocols.provider_values import text_or_empty

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "content_filter": FinishReason.FILTERED,
    "incomplete": FinishReason.LENGTH,
}
CALL_KINDS: Mapping[str, ToolKind] = {
    "function_call": ToolKind.FUNCTION,
    "custom_tool_call": ToolKind.CUSTOM,
    "local_shell_call": ToolKind.LOCAL_SHELL,
}


def decode_output_item(item: Mapping[str, Any], issuer: str) -> dict[int, Block]:
    """Blocks by their content index. What says nothing (no text, no seal) is no block: an empty dict."""
    kind = item.get("type")
    if kind == "message":
        content = item.get("content")
        parts = enumerate(content) if isinstance(content, list) else ()
        return {i: block for i, part in parts if (block := decode_output_part(part)) is not None}
    if kind == "reasoning":
        reasoning = _decode_reasoning(item, issuer)
        return {} if reasoning is None else {0: reasoning}
    if isinstance(kind, str) and kind in CALL_KINDS:
        return {0: decode_call(item, CALL_KINDS[kind])}
    return {0: Opaque(Dialect.OPENAI_RESPONSES, kind, item)} if isinstance(kind, str) else {}


def decode_output_part(part: Any) -> Text | Refusal | None:
    if not isinstance(part, dict) or part.get("type") == "reasoning_text":
        return None
    if part.get("type") == "refusal":
        refusal = text_or_empty(part.get("refusal"))
        return Refusal(refusal) if refusal else None
    text, citations = text_or_empty(part.get("text")), decode_annotations(part.get("annotations"))
    return Text(text, citations) if text or citations else None


def _decode_reasoning(item: Mapping[str, Any], issuer: str) -> Reasoning | None:
    text, sealed = reasoning_text(item), text_or_empty(item.get("encrypted_content"))
    return Reasoning(text, Seal(issuer, sealed) if sealed else None) if text or sealed else None


def decode_call(item: Mapping[str, Any], kind: ToolKind) -> ToolCall:
    namespace = item.get("namespace")
    match kind:
        case ToolKind.LOCAL_SHELL:
            name, arguments = LOCAL_SHELL, arguments_text(item.get("action"))
        case ToolKind.CUSTOM:
            name, arguments = text_or_empty(item.get("name")), text_or_empty(item.get("input"))
        case _:
            name, arguments = text_or_empty(item.get("name")), _arguments(item.get("arguments"))
    call_id = text_or_empty(item.get("call_id")) or text_or_empty(item.get("id"))
    return ToolCall(call_id, name, arguments, kind, namespace if isinstance(namespace, str) else None)


def _arguments(value: Any) -> str:
    """Some relatives send them as an object."""
    return arguments_text(value) if isinstance(value, dict) else text_or_empty(value)


def finish_reason(raw: str, *, has_calls: bool, has_refusal: bool) -> FinishReason:
    """`raw`: the reason an answer is incomplete, else its status (`stream.finish_reason_of`). OpenAI's status says
    nothing of calls and refusals."""
    if raw in _FINISH_REASONS:
        return _FINISH_REASONS[raw]
    if has_calls:
        return FinishReason.TOOL_CALLS
    return FinishReason.REFUSAL if has_refusal else FinishReason.STOP
