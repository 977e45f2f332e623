"""Cross-origin answers for the playground: a page of the console that calls the public endpoint with a key.

Only origins that are listed get any; keys travel in `Authorization`, never in cookies, so no credentials are allowed.
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from services.edge.client_connection import Send
from services.edge.http_protocol import Headers

_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, anthropic-version, anthropic-beta, openai-beta",
    ),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]
_EXPOSED = b"x-request-id, request-id, retry-after, x-should-retry, x-lumen-model, x-lumen-dropped"


class Cors:
    """`origins`: comma-separated, such as https://console.example."""

    def __init__(self, origins: str) -> None:
        self._headers: dict[bytes, Headers] = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"origin"),
            ]
            for origin in (text.strip() for text in origins.split(","))
            if origin
        }

    def headers_for(self, origin: bytes | None) -> Headers | None:
        """What the answer carries besides; None: another origin, or no page asks."""
        return self._headers.get(origin) if origin is not None else None

    async def answer_preflight(self, allowed: Headers, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": [*allowed, *_PREFLIGHT]})
        await send({"type": "http.response.body", "body": b""})
