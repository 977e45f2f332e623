"""Turns -> `contents`.

Roles alternate and a user begins, so neighbours of one role are merged. A model's content and the user's after it are
one step: the results come first and in the order of the calls, since Gemini matches what has no id by order. Its rules
for thought signatures are kept too: each goes back on the part it came on, and models that insist on one (Gemini 3) get
the documented placeholder on the first call of a step that has none, such as another model's.
https://ai.google.dev/gemini-api/docs/thought-signatures, https://ai.google.dev/gemini-api/docs/function-calling
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lumen.protocols.arguments import arguments_object, wrap_custom_input
from lumen.protocols.canonical.content import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
)
from lumen.protocols.canonical.request import Request, Role
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.gemini_generate.call_ids import wire_call_id
from lumen.protocols.gemini_generate.media import encode_media, encode_source
from lumen.protocols.gemini_generate.models import traits_of
from lumen.protocols.gemini_generate.tool_names import encode_tool_name

_SKIP_VALIDATION = "skip_thought_signature_validator"
# Where the conversation does not begin with a user, who has to say something; parts without text are refused.
_NOTHING = " "


@dataclass(slots=True)
class _Content:
    role: str  # user | model
    parts: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[str, str] = field(default_factory=dict)  # of a model: call id -> function name
    results: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # of a user: (call id, part)


def encode_contents(request: Request, target: Target) -> list[dict[str, Any]]:
    return ContentsEncoder(target).encode(request)


class ContentsEncoder:
    """One per request."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._is_gemini_3 = traits_of(target.model).is_gemini_3
        self._contents: list[_Content] = []
        self._names: dict[str, str] = {}  # the latest call of that id -> its function's name

    def encode(self, request: Request) -> list[dict[str, Any]]:
        """Raises Unsupported."""
        for turn in request.turns:
            if turn.name:
                self._target.drop("participant_name")
            content = self._content("model" if turn.role is Role.ASSISTANT else "user")
            for block in turn.content:
                self._add(block, content)
        contents = [content for content in self._contents if content.parts or content.results]
        if not contents or contents[0].role != "user":
            contents.insert(0, _Content("user", [{"text": _NOTHING}]))
        return [
            {"role": content.role, "parts": self._ordered(content, before)}
            for before, content in zip([None, *contents], contents, strict=False)
        ]

    def _content(self, role: str) -> _Content:
        while self._contents and not (self._contents[-1].parts or self._contents[-1].results):
            self._contents.pop()
        if not self._contents or self._contents[-1].role != role:
            self._contents.append(_Content(role))
        return self._contents[-1]

    def _ordered(self, content: _Content, before: _Content | None) -> list[dict[str, Any]]:
        if content.role == "model":
            self._seal_first_call(content)
        order = {call_id: number for number, call_id in enumerate(before.calls)} if before else {}
        results = sorted(content.results, key=lambda result: order.get(result[0], len(order)))
        return [*(part for _, part in results), *content.parts]

    def _seal_first_call(self, content: _Content) -> None:
        if self._is_gemini_3:
            first = next((part for part in content.parts if "functionCall" in part), None)
            if first is not None:
                first.setdefault("thoughtSignature", _SKIP_VALIDATION)

    def _add(self, block: Block, content: _Content) -> None:
        match block:
            case Text():
                self._add_text(block, content)
            case Refusal():
                if block.text:
                    content.parts.append({"text": block.text})
            case Image() | Document() | Audio():
                content.parts += encode_media(block)
            case Reasoning():
                self._add_reasoning(block, content)
            case ToolCall():
                self._add_call(block, content)
            case ToolResult():
                self._add_result(block, content)
            case Opaque():
                self._target.drop("opaque_blocks")
        if getattr(block, "cache", None) is not None:
            self._target.drop("cache_control")
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._target.drop("image_detail")

    def _add_text(self, block: Text, content: _Content) -> None:
        signature = self._signature(block.seal)
        if block.text or signature:
            content.parts.append({"text": block.text, **signature})
        if block.citations:
            self._target.drop("citations")

    def _add_reasoning(self, block: Reasoning, content: _Content) -> None:
        """Without its signature a thought means nothing to the model, and must not become text."""
        if block.seal is None:
            self._target.drop("reasoning_signature")
        elif signature := self._signature(block.seal):
            content.parts.append({"text": block.text, "thought": True, **signature})

    def _add_call(self, block: ToolCall, content: _Content) -> None:
        name = encode_tool_name(block.name, block.namespace)
        arguments = wrap_custom_input(block.arguments) if block.kind is ToolKind.CUSTOM else block.arguments
        call = {**_id_member(block.call_id), "name": name, "args": arguments_object(arguments)}
        content.parts.append({"functionCall": call, **self._signature(block.seal)})
        content.calls[block.call_id] = self._names[block.call_id] = name

    def _add_result(self, block: ToolResult, content: _Content) -> None:
        name = self._names.get(block.call_id)
        if name is None:
            message = f"No tool call with the id `{block.call_id}` comes before its result."
            raise Unsupported("unmatched_results", message)
        texts, media = [], []
        for part in block.content:
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part.source, PlainText):
                texts.append(part.source.text)
            else:
                media.append(encode_source(part.source))
        said = {"error" if block.is_error else "output": "\n".join(texts)}
        response: dict[str, Any] = {**_id_member(block.call_id), "name": name, "response": said}
        if media and self._is_gemini_3:
            response["parts"] = media
        elif media:
            content.parts += media
        content.results.append((block.call_id, {"functionResponse": response}))

    def _signature(self, seal: Seal | None) -> dict[str, str]:
        if seal is None:
            return {}
        if seal.issuer != self._target.issuer:
            self._target.drop("reasoning_signature")
            return {}
        return {"thoughtSignature": seal.value}


def _id_member(call_id: str) -> dict[str, str]:
    wire_id = wire_call_id(call_id)
    return {} if wire_id is None else {"id": wire_id}
