"""Images, documents and audio in a prompt: how many, how many bytes, and what bytes cannot bound.

The dialects' `peek` modules walk their own prompts and report here. Only parts in the places where the dialect reads
attachments count, so that a look-alike inside a tool's arguments cannot hide text from the prompt's bound.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

_json_string = msgspec.json.Decoder(str)
# What a JSON value starts with; Raw holds no leading white space.
_N, _BRACKET, _QUOTE = b'n["'


class Attachments(msgspec.Struct, frozen=True):
    """Counts, and the bytes of JSON that each kind's inline data takes up."""

    images: int = 0
    files: int = 0
    audio: int = 0
    image_bytes: int = 0
    file_bytes: int = 0
    audio_bytes: int = 0

    @property
    def base64_bytes(self) -> int:
        return self.image_bytes + self.file_bytes + self.audio_bytes


NO_ATTACHMENTS = Attachments()


class PromptTally:
    """Collects what a walk over one prompt finds."""

    def __init__(self) -> None:
        self.images = self.files = self.audio = 0
        self.image_bytes = self.file_bytes = self.audio_bytes = 0
        self.unbounded: list[str] = []
        self.server_tools: list[str] = []

    def image(self, inline: msgspec.Raw | None = None) -> None:
        self.images += 1
        self.image_bytes += text_bytes(inline)

    def file(self, inline: msgspec.Raw | None = None) -> None:
        self.files += 1
        self.file_bytes += text_bytes(inline)

    def audio_clip(self, inline: msgspec.Raw | None = None) -> None:
        self.audio += 1
        self.audio_bytes += text_bytes(inline)

    def unbound(self, name: str) -> None:
        if name not in self.unbounded:
            self.unbounded.append(name)

    def server_tool(self, name: str) -> None:
        """Run at the provider: its results enter the prompt."""
        self.unbound(name)
        if name not in self.server_tools:
            self.server_tools.append(name)

    def attachments(self) -> Attachments:
        if not (self.images or self.files or self.audio):
            return NO_ATTACHMENTS
        return Attachments(self.images, self.files, self.audio, self.image_bytes, self.file_bytes, self.audio_bytes)


def is_set(raw: msgspec.Raw | None) -> TypeGuard[msgspec.Raw]:
    """Present and not null."""
    return raw is not None and (view := memoryview(raw)).nbytes > 0 and view[0] != _N


def is_array(raw: msgspec.Raw | None) -> TypeGuard[msgspec.Raw]:
    return raw is not None and (view := memoryview(raw)).nbytes > 0 and view[0] == _BRACKET


def is_data_url(raw: msgspec.Raw) -> bool:
    """Whether a JSON string holds its data inline rather than pointing to it."""
    return bytes(memoryview(raw)[1:6]).lower() == b"data:"


def text_bytes(raw: msgspec.Raw | None) -> int:
    """Bytes between the quotes of a JSON string; 0 for anything else."""
    if raw is None or bytes(memoryview(raw)[:1]) != b'"':
        return 0
    return memoryview(raw).nbytes - 2


def text_of(raw: msgspec.Raw | None) -> str | None:
    """The JSON string's value; None for anything else."""
    if raw is None or not (view := memoryview(raw)).nbytes or view[0] != _QUOTE:
        return None
    return _json_string.decode(raw)
