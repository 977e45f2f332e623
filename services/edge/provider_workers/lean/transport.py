"""`UpstreamTransport` over the lean pool: builds the head, retries a request that met a stale pooled connection."""

from __future__ import annotations

from urllib.parse import urlsplit

from services.edge.provider_workers.content_coding import decoded
from services.edge.provider_workers.lean.connection import StaleConnection
from services.edge.provider_workers.lean.pool import Pool
from services.edge.provider_workers.transport import (
    ConnectionStats,
    TransportOptions,
    UpstreamRequest,
    UpstreamResponse,
)


class LeanTransport:
    """`origin`: scheme and authority of a base URL; its path belongs into the request's target."""

    def __init__(self, origin: str, options: TransportOptions, stats: ConnectionStats) -> None:
        parts = urlsplit(origin)
        self._pool = Pool(parts, options, stats)
        self._stats = stats
        authority = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")
        self._start_line_end = b" HTTP/1.1\r\nhost: %b\r\n" % authority

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        head = self._encode_head(request)
        is_head_request = request.method == b"HEAD"
        connection = self._pool.take()
        if connection is not None:
            try:
                response = connection.start(is_head_request, head, request.body)
                await response.head()
            except StaleConnection:
                self._stats.stale_retries += 1
            else:
                return decoded(response) if b"content-encoding" in response.headers else response
        connection = await self._pool.connect()
        response = connection.start(is_head_request, head, request.body)
        await response.head()
        return decoded(response) if b"content-encoding" in response.headers else response

    async def close(self) -> None:
        await self._pool.close()

    def _encode_head(self, request: UpstreamRequest) -> bytes:
        """Raises ValueError if a header would break out of its line (our mistake: what came in was parsed)."""
        lines = [b"%b: %b\r\n" % header for header in request.headers]
        head = b"%b %b%b%b%bcontent-length: %d\r\n\r\n" % (
            request.method,
            request.target,
            self._start_line_end,
            request.static_headers.encoded,
            b"".join(lines),
            len(request.body),
        )
        lines_expected = 4 + len(lines) + len(request.static_headers.items)
        if head.count(b"\n") != lines_expected or head.count(b"\r") != lines_expected:
            raise ValueError("a line break within a header or target")
        return head
