"""Answers that a provider compressed although we asked for identity: the tap and the client get plain bytes.

Decompression is incremental and pulled by the reader: one read yields at most `_PIECE_BYTES_MAX`, whatever a few bytes
of the body would expand to. Codings that the standard library does not know are handed on as they are, header included.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from services.edge.provider_workers.transport import ConnectionCut, ProtocolViolation, Sink, UpstreamResponse

_PIECE_BYTES_MAX = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class Inflater(Protocol):
    """zlib's decompressobj, whose type has no public name in 3.11."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def decoded(response: UpstreamResponse) -> UpstreamResponse:
    """The response with a plain body, if its coding is gzip or deflate."""
    coding = response.headers[b"content-encoding"].strip().lower()
    if coding in (b"", b"identity"):
        del response.headers[b"content-encoding"]
        return response
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        return response
    del response.headers[b"content-encoding"]
    response.headers.pop(b"content-length", None)
    return DecodedResponse(response, is_gzip=coding != b"deflate")


class DecodedResponse:
    __slots__ = ("_has_begun", "_has_more", "_inflater", "_is_gzip", "_pending", "_response", "headers", "status")

    def __init__(self, response: UpstreamResponse, is_gzip: bool) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._is_gzip = is_gzip
        self._inflater: Inflater = zlib.decompressobj(_GZIP if is_gzip else _ZLIB)
        self._pending = b""
        self._has_more = self._has_begun = False

    async def read(self) -> bytes:
        """As `UpstreamResponse.read`; a compressed body that ends too early is ConnectionCut, a broken one
        ProtocolViolation."""
        while True:
            if self._pending or self._has_more:
                data = self._inflate()
                if data:
                    return data
                continue
            piece = await self._response.read()
            if not piece:
                if self._has_begun and not self._inflater.eof:
                    raise ConnectionCut("the compressed body is incomplete")
                return b""
            self._pending = piece

    async def pump(self, sink: Sink) -> None:
        """Not worth it: rare, and inflating costs more."""

    def abort(self) -> None:
        self._response.abort()

    def _inflate(self) -> bytes:
        pending, self._pending = self._pending, b""
        try:
            if self._inflater.eof and self._is_gzip:  # a further gzip member
                self._inflater = zlib.decompressobj(_GZIP)
            data = self._decompress(pending)
        except zlib.error as error:
            self._response.abort()
            raise ProtocolViolation(f"broken content-encoding: {error}") from error
        self._pending = self._inflater.unconsumed_tail
        if self._inflater.eof:
            self._pending = self._inflater.unused_data if self._is_gzip else b""
        # Input may be used up while output still waits within zlib.
        self._has_more = len(data) == _PIECE_BYTES_MAX and not self._inflater.eof
        return data

    def _decompress(self, pending: bytes) -> bytes:
        is_first, self._has_begun = not self._has_begun, True
        try:
            return self._inflater.decompress(pending, _PIECE_BYTES_MAX)
        except zlib.error:
            if self._is_gzip or not is_first:
                raise
            # "deflate" ought to be zlib; some servers send it raw.
            self._inflater = zlib.decompressobj(_RAW_DEFLATE)
            return self._inflater.decompress(pending, _PIECE_BYTES_MAX)
