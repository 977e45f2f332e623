"""Which channel a conversation belongs to, so that the provider's prompt cache stays warm.

The key is the account and the beginning of the first user text, read from the body's bytes: the first thing of a
conversation that is the same in every turn and, up to how a client escapes characters, in every dialect. Nothing is
decoded; a text that cannot be found (an image alone, a message whose role comes after its content) is keyed by what is
found first, or not at all. It is a hint: the cost of a wrong key is a cold cache.

Channels are ranked by weighted rendezvous hashing (Wang and Ravishankar; the logarithmic method gives each channel its
weight's share of the keys): every edge ranks alike without talking, and a channel that goes or returns moves only its
own conversations. Encrypted reasoning needs no pin of its own: it can only be read by the vendor that issued it, and
all channels of one model serve that vendor's model.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from math import log
from zlib import crc32

# How far the first user text is looked for; behind a longer system prompt the key is that prompt's beginning.
_SEARCH_BYTES_MAX = 8 * 1024
_TEXT_BYTES_MAX = 256
_USER = b'"user"'
# A text's beginning; an escape may be cut in two, the bytes are only hashed.
_text_at = re.compile(rb'"(?:content|text|input)"\s*:\s*"([^"]{1,%d})' % _TEXT_BYTES_MAX).search

_MASK = 2**32 - 1
# Multipliers of 32-bit finalizers; a Python integer of more bits costs twice the time.
_MULTIPLIER = 0x9E3779B1
_FINISHER = 0x85EBCA77


def conversation_key(account: str, body: bytes) -> int:
    """0: none."""
    user = body.find(_USER, 0, _SEARCH_BYTES_MAX)
    found = _text_at(body, user if user > 0 else 0, _SEARCH_BYTES_MAX)
    if found is None:
        return 0
    return crc32(found[1], crc32(account.encode())) or 1


def salt(channel: str) -> int:
    """The channel's own number, the same on every edge."""
    return int.from_bytes(blake2b(channel.encode(), digest_size=4).digest(), "big")


def rank(key: int, channel_salt: int, weight: int) -> float:
    """The highest rank wins the conversation. Below 0; the nearer to 0 the higher."""
    mixed = ((key ^ channel_salt) * _MULTIPLIER) & _MASK
    mixed = ((mixed ^ mixed >> 15) * _FINISHER) & _MASK
    return log(((mixed ^ mixed >> 13) + 1) / (_MASK + 2)) / weight
