"""Token counts from byte counts: upper bounds for holds, and estimates where a provider reported no usage."""

from __future__ import annotations

from lumen.protocols.attachments import NO_ATTACHMENTS
from lumen.protocols.peek import Peek

# English prose has 4.2 UTF-8 bytes per token, code 3.3 and Chinese 3 to 4.5 with the vocabularies of 2024 and later.
TYPICAL_BYTES_PER_TOKEN = 4

# What providers put around a prompt without it being in the body: chat templates, and the system text that comes with
# tools (Anthropic documents up to 700 tokens of it).
HIDDEN_PROMPT_TOKENS_MAX = 1024


def estimate_tokens(byte_count: int) -> int:
    """Tokens that so many bytes of text typically are, rounded up."""
    return -(-byte_count // TYPICAL_BYTES_PER_TOKEN)


def prompt_tokens_bound(
    peek: Peek,
    body_bytes: int,
    *,
    image_tokens_max: int | None = None,
    file_tokens_max: int | None = None,
    audio_tokens_max: int | None = None,
) -> int:
    """No prompt of this body has more tokens, unless `peek.unbounded` names something.

    A token covers at least one byte of the body. Inline attachments are the exception: where the catalog knows the
    most tokens one can cost, that replaces its bytes.
    """
    attached, replaced_bytes = _attachment_tokens(peek, image_tokens_max, file_tokens_max, audio_tokens_max)
    return body_bytes - replaced_bytes + attached + HIDDEN_PROMPT_TOKENS_MAX


def prompt_tokens_typical(
    peek: Peek,
    body_bytes: int,
    *,
    image_tokens_max: int | None = None,
    file_tokens_max: int | None = None,
    audio_tokens_max: int | None = None,
) -> int:
    """What a prompt of this body typically has; attachments still at their most, for nothing better is known."""
    attached, replaced_bytes = _attachment_tokens(peek, image_tokens_max, file_tokens_max, audio_tokens_max)
    return estimate_tokens(body_bytes - replaced_bytes) + attached


def _attachment_tokens(
    peek: Peek, image_tokens_max: int | None, file_tokens_max: int | None, audio_tokens_max: int | None
) -> tuple[int, int]:
    """(tokens, bytes that they stand for)"""
    attachments = peek.attachments
    if attachments is NO_ATTACHMENTS:
        return 0, 0
    tokens = replaced_bytes = 0
    for count, inline_bytes, tokens_max in (
        (attachments.images, attachments.image_bytes, image_tokens_max),
        (attachments.files, attachments.file_bytes, file_tokens_max),
        (attachments.audio, attachments.audio_bytes, audio_tokens_max),
    ):
        if tokens_max is not None:
            tokens += count * tokens_max
            replaced_bytes += inline_bytes
    return tokens, replaced_bytes
