"""A mark: the last ledger message of a partition that a sink holds, `epoch:sequence:digest`.

The digest ties the position to the message itself: a ledger that was restored from an older copy reuses sequences, and
only the content tells. An epoch begins when an operator adopts such a ledger.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_EPOCH_SHIFT = 48  # stream sequences stay far below 2^48


def digest_of(payload: bytes) -> str:
    """Sixteen hex digits of the message's SHA-256."""
    return hashlib.sha256(payload).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Mark:
    epoch: int
    sequence: int
    digest: str

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}:{self.digest}"

    @property
    def is_start(self) -> bool:
        """Nothing of this partition has been taken yet."""
        return self.sequence == 0


START = Mark(1, 0, "")


def parse_mark(stored: bytes | str | None) -> Mark | None:
    """None for no mark, and for what is not one (a rebuild's token): either way the sink has to be rebuilt."""
    text = stored.decode(errors="replace") if isinstance(stored, bytes) else stored or ""
    fields = text.split(":")
    if len(fields) != 3 or not all(field.isascii() and field.isdigit() for field in fields[:2]):
        return None
    return Mark(int(fields[0]), int(fields[1]), fields[2])


def position_version(epoch: int, sequence: int) -> int:
    """Orders positions across epochs in one integer, for ReplacingMergeTree versions."""
    return (epoch << _EPOCH_SHIFT) + sequence
