"""Bounds and estimates of prompt tokens."""

from __future__ import annotations

import json
from typing import Any

from lumen.protocols.dialects import Dialect
from lumen.protocols.estimate import (
    HIDDEN_PROMPT_TOKENS_MAX,
    estimate_tokens,
    prompt_tokens_bound,
    prompt_tokens_typical,
)
from lumen.protocols.peek import Peek, peek

IMAGE_BYTES = 4000


def with_image() -> tuple[Peek, int]:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * IMAGE_BYTES}}
    return peeked(messages=[{"role": "user", "content": [image, image, {"type": "text", "text": "what?"}]}])


def peeked(**members: Any) -> tuple[Peek, int]:
    body = json.dumps({"model": "m", "max_tokens": 1, **members}).encode()
    return peek(Dialect.ANTHROPIC_MESSAGES, body), len(body)


def test_tokens_are_rounded_up() -> None:
    assert [estimate_tokens(count) for count in (0, 1, 4, 5, 4000)] == [0, 1, 1, 2, 1000]


def test_without_attachments_every_byte_may_be_a_token() -> None:
    found, size = peeked(messages=[{"role": "user", "content": "x" * 500}])
    assert prompt_tokens_bound(found, size, image_tokens_max=9) == size + HIDDEN_PROMPT_TOKENS_MAX
    assert prompt_tokens_typical(found, size) == estimate_tokens(size)


def test_an_images_most_tokens_replace_its_bytes() -> None:
    found, size = with_image()
    rest = size - 2 * IMAGE_BYTES
    assert prompt_tokens_bound(found, size, image_tokens_max=1600) == rest + 3200 + HIDDEN_PROMPT_TOKENS_MAX
    assert prompt_tokens_typical(found, size, image_tokens_max=1600) == estimate_tokens(rest) + 3200


def test_bytes_of_an_attachment_with_unknown_maximum_count_in_full() -> None:
    found, size = with_image()
    assert prompt_tokens_bound(found, size, file_tokens_max=1) == size + HIDDEN_PROMPT_TOKENS_MAX
