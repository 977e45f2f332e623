"""The id every answer carries, whoever writes it."""

from __future__ import annotations

from random import Random

# Seeded by the system. Ids have to differ, not to be secret; asking the system each time costs a call.
_random = Random()


def new_request_id() -> str:
    return f"req_{_random.getrandbits(96):024x}"
