"""Where a request is posted: Gemini's path names the model and the method."""

from __future__ import annotations

from urllib.parse import quote


def request_path(model: str, *, is_stream: bool) -> str:
    """What follows a channel's base URL (`https://generativelanguage.googleapis.com`), with its query.

    Without `alt=sse` a stream is a JSON array in pieces, which is never asked for.
    """
    method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
    return f"/v1beta/models/{quote(model, safe='')}:{method}"
