"""`GET /v1/models[/{id}]` in OpenAI's shape, or in Anthropic's when `anthropic-version` is sent.

https://platform.openai.com/docs/api-reference/models/list, https://docs.claude.com/en/api/models-list
"""

from __future__ import annotations

from typing import Any

from lumen.catalog.document import Model
from lumen.protocols.errors import ApiError, ErrorKind

_LIMIT_DEFAULT = 20
_LIMIT_MAX = 1000
# The catalog does not know when a model was made; the official shapes require a time.
_CREATED_S = 1_767_225_600
_CREATED_AT = "2026-01-01T00:00:00Z"


def openai_list(models: list[Model]) -> dict[str, Any]:
    return {"object": "list", "data": [openai_model(model) for model in models]}


def openai_model(model: Model, model_id: str | None = None) -> dict[str, Any]:
    return {"id": model_id or model.code, "object": "model", "created": _CREATED_S, "owned_by": model.vendor}


def anthropic_model(model: Model, model_id: str | None = None) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model_id or model.code,
        "display_name": model.name,
        "created_at": _CREATED_AT,
        "max_tokens": model.max_output_tokens,
    }


def anthropic_list(models: list[Model], query: dict[str, str]) -> dict[str, Any]:
    """One page. Raises ApiError 400 for a cursor or limit that is none."""
    limit = _limit(query.get("limit"))
    codes = [model.code for model in models]
    if (after := query.get("after_id")) is not None:
        start = _position(codes, after, "after_id") + 1
        page = models[start : start + limit]
        has_more = start + limit < len(models)
    elif (before := query.get("before_id")) is not None:
        end = _position(codes, before, "before_id")
        page = models[max(0, end - limit) : end]
        has_more = end - limit > 0
    else:
        page = models[:limit]
        has_more = limit < len(models)
    return {
        "data": [anthropic_model(model) for model in page],
        "has_more": has_more,
        "first_id": page[0].code if page else None,
        "last_id": page[-1].code if page else None,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return _LIMIT_DEFAULT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _LIMIT_MAX):
        raise ApiError(ErrorKind.INVALID_REQUEST, f"limit: Input should be between 1 and {_LIMIT_MAX}")
    return int(text)


def _position(codes: list[str], cursor: str, name: str) -> int:
    try:
        return codes.index(cursor)
    except ValueError:
        raise ApiError(ErrorKind.INVALID_REQUEST, f"{name}: no such model") from None
