"""Content codings of ClickHouse's HTTP interface, whole frames on the way in and incremental on the way out."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    import lz4.frame  # type: ignore[import-untyped]
except ImportError:  # clickhouse-connect brings it up to Python 3.13 only, and offers it only where it is there
    lz4 = None

from deploy.local.clickhouse_bridge.errors import QUERY_IS_TOO_LARGE, UNKNOWN_COMPRESSION_METHOD, own_error


class Encoder(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _Lz4Encoder:
    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._compressor.begin()

    def compress(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._compressor.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._compressor.flush())


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(level=1, wbits=31),
    "deflate": lambda: zlib.compressobj(level=1, wbits=15),
}


def _inflate(data: bytes, wbits: int, size_max: int) -> bytes:
    return zlib.decompressobj(wbits).decompress(data, size_max)


def _read(opened: Any, size_max: int) -> bytes:
    with opened:
        return bytes(opened.read(size_max))


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zstd": lambda data, size_max: _read(zstd.ZstdFile(io.BytesIO(data)), size_max),
    "gzip": lambda data, size_max: _inflate(data, 31, size_max),
    "deflate": lambda data, size_max: _inflate(data, 15, size_max),
}

if lz4 is not None:
    _ENCODERS["lz4"] = _Lz4Encoder
    _DECODERS["lz4"] = lambda data, size_max: _read(lz4.frame.LZ4FrameFile(io.BytesIO(data)), size_max)


def select_coding(accept_encoding: str) -> str | None:
    """The best of the client's codings, or None to send the answer as it is."""
    accepted = {item.split(";")[0].strip().lower() for item in accept_encoding.split(",")}
    return next((coding for coding in _ENCODERS if coding in accepted), None)


def encoder(coding: str) -> Encoder:
    return _ENCODERS[coding]()


def decompress(data: bytes, coding: str, size_max: int) -> bytes:
    """Raises EngineError for an unknown coding, broken data, or more than `size_max` bytes."""
    if coding in ("", "identity"):
        return data
    decode = _DECODERS.get(coding.lower())
    if decode is None:
        raise own_error(UNKNOWN_COMPRESSION_METHOD, "UNKNOWN_COMPRESSION_METHOD", f"Content-Encoding {coding!r}")
    try:
        decoded = decode(data, size_max + 1)
    except (zlib.error, zstd.ZstdError, RuntimeError, OSError, EOFError) as error:
        raise own_error(271, "CANNOT_DECOMPRESS", f"Cannot decompress the body ({coding}): {error}") from error
    if len(decoded) > size_max:
        raise own_error(QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", f"The body is larger than {size_max} bytes")
    return decoded
