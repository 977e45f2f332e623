"""The id every answer carries, whoever writes it."""

from __future__ import annotations

import secrets


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"
