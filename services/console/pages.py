"""Pages of lists. A cursor is the last row's sorting key, opaque to callers: rows that come meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from services.console.errors import InvalidRequest

_Item = TypeVar("_Item")

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


def page_of(
    items: Sequence[_Item], id_of: Callable[[_Item], str], cursor: str, limit: int
) -> tuple[Sequence[_Item], str | None]:
    """One page of a list that is there whole and in order, and the next page's cursor. Raises InvalidRequest."""
    after = decode_cursor(cursor, 1)
    start = 0
    if after is not None:
        start = next((n for n, item in enumerate(items, 1) if id_of(item) == after[0]), -1)
        if start < 0:
            raise InvalidRequest("cursor", "not a cursor of this list")
    page = items[start : start + limit]
    return page, encode_cursor(id_of(page[-1])) if start + limit < len(items) else None
