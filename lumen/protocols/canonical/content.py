"""Blocks: what prompts and answers are made of.

Optional members are None when the wire said nothing; an empty string is an empty string.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from lumen.protocols.dialects import Dialect


class Extras(Struct, frozen=True):
    """Members that only `dialect` knows. That dialect's encoder emits them; every other one leaves them out."""

    dialect: Dialect
    members: Mapping[str, Any]


class Seal(Struct, frozen=True):
    """What a model wants back unread, byte for byte: a thinking signature, encrypted or redacted reasoning, a thought
    signature. `issuer` is the vendor of the model that made it (catalog `vendor`); it goes back to that one only."""

    issuer: str
    value: str


class CacheMark(Struct, frozen=True):
    """The prompt up to and including this block shall be cached."""

    ttl: str = "5m"  # 5m | 1h


# --- where bytes come from


class Inline(Struct, frozen=True):
    media_type: str
    data: str  # base64


class Url(Struct, frozen=True):
    url: str  # never a data: URL


class FileId(Struct, frozen=True):
    """A file stored at the provider, of the client's dialect."""

    file_id: str


class PlainText(Struct, frozen=True):
    """A document given as text."""

    text: str


Source = Inline | Url | FileId | PlainText


# --- blocks


class Citation(Struct, frozen=True):
    """`start` and `end` are character offsets into the answer's text where the dialect has them."""

    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int | None = None
    end: int | None = None
    extras: Extras | None = None  # the original, whole


class Text(Struct, frozen=True, tag="text"):
    text: str
    citations: tuple[Citation, ...] = ()
    cache: CacheMark | None = None
    seal: Seal | None = None  # Gemini puts thought signatures on text parts too
    extras: Extras | None = None


class Refusal(Struct, frozen=True, tag="refusal"):
    """The model's words for declining (OpenAI's dialects). Elsewhere it is shown as text: it must not vanish."""

    text: str


class Image(Struct, frozen=True, tag="image"):
    source: Source
    detail: str | None = None  # OpenAI: low | high | auto | original
    cache: CacheMark | None = None
    extras: Extras | None = None


class Document(Struct, frozen=True, tag="document"):
    """A PDF or another file. `name` is its file name or title."""

    source: Source
    name: str | None = None
    context: str | None = None
    cache: CacheMark | None = None
    extras: Extras | None = None


class Audio(Struct, frozen=True, tag="audio"):
    """`source.media_type` is `audio/wav`, `audio/mp3` ..."""

    source: Inline
    extras: Extras | None = None


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """`text` is what may be shown (a summary or the thinking itself, parts joined by blank lines), perhaps empty.

    `is_redacted`: only the seal has content (Anthropic's redacted_thinking). Without a seal the text is the thinking
    itself, which some vendors want back as `reasoning_content` on tool turns (DeepSeek, Kimi, GLM, MiniMax).
    """

    text: str
    seal: Seal | None = None
    is_redacted: bool = False
    extras: Extras | None = None


class ToolKind(StrEnum):
    FUNCTION = "function"  # arguments: a JSON object
    CUSTOM = "custom"  # Responses/Chat freeform: arguments are any text
    LOCAL_SHELL = "local_shell"  # Responses: arguments are the JSON of its `action`


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """`call_id` as the issuing side made it. `arguments` is the text as the model wrote it: for functions JSON, where
    "" stands for no arguments; encoders that need an object parse it by `arguments.arguments_object`."""

    call_id: str
    name: str
    arguments: str
    kind: ToolKind = ToolKind.FUNCTION
    namespace: str | None = None  # Responses `namespace` tools
    seal: Seal | None = None  # Gemini: thoughtSignature on functionCall
    cache: CacheMark | None = None
    extras: Extras | None = None


ResultPart = Text | Image | Document


class ToolResult(Struct, frozen=True, tag="tool_result"):
    call_id: str
    content: tuple[ResultPart, ...]
    is_error: bool = False
    kind: ToolKind = ToolKind.FUNCTION
    cache: CacheMark | None = None
    extras: Extras | None = None


class Opaque(Struct, frozen=True, tag="opaque"):
    """A block only `dialect` knows (server tool calls and results, compaction items ...): carried by that dialect,
    left out by the others as the declared loss `opaque_blocks`."""

    dialect: Dialect
    kind: str  # its `type`
    raw: Any  # decoded JSON


Block = Text | Refusal | Image | Document | Audio | Reasoning | ToolCall | ToolResult | Opaque
