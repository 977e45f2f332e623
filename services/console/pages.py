"""Pages of lists. A cursor is the last row's sorting key, opaque to callers: rows that come meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated

from fastapi import Query

from services.console.errors import InvalidRequest

PAGE_ROWS_MAX = 1000

Cursor = Annotated[str, Query(max_length=1000, description="`next_cursor` of the page before; empty: the first page")]
Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="rows per page")]


def encode_cursor(*key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, parts: int) -> list[str] | None:
    """The sorting key of `parts` strings; None for the first page. Raises InvalidRequest."""
    if not cursor:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("cursor", "not a cursor of this list") from error
    if not isinstance(key, list) or len(key) != parts or not all(isinstance(part, str) for part in key):
        raise InvalidRequest("cursor", "not a cursor of this list")
    return key
