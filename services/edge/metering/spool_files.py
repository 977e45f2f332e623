"""Spool segments on disk: what a record is, and how a torn one is told from a whole one. Synchronous; runs in a thread.

A segment is `<number>.spool`: records of little-endian length (u32), crc32 (u32) and that many bytes of payload, which
is one encoded batch. Appended, fsynced, never changed; a crash may leave a torn record at the end.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from services.edge.metering.identity import sync_directory

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_RECORD_BYTES_MAX = 16 * 1024 * 1024
SUFFIX = ".spool"


class SpoolDamaged(Exception):
    """A record that was written whole cannot be read back."""


def record_bytes(payload: bytes) -> int:
    return _HEADER.size + len(payload)


class SegmentWriter:
    """One segment being appended to. After a failed `append` it must not be used again."""

    def __init__(self, path: Path) -> None:
        """Raises OSError; FileExistsError where the segment exists."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = 0
        sync_directory(path.parent)

    def append(self, payloads: Sequence[bytes]) -> list[int]:
        """Write all and fsync once. Returns each record's offset. Raises OSError: nothing of it counts."""
        offsets = []
        chunk = bytearray()
        for payload in payloads:
            offsets.append(self._size + len(chunk))
            chunk += _HEADER.pack(len(payload), crc32(payload))
            chunk += payload
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fdatasync(self._fd)
        self._size += len(chunk)
        return offsets

    def close(self) -> None:
        os.close(self._fd)


def read_record(path: Path, offset: int, length: int) -> bytes:
    """Raises SpoolDamaged, OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        header = file.read(_HEADER.size)
        payload = file.read(length)
    if len(header) < _HEADER.size or header != _HEADER.pack(length, crc32(payload)):
        raise SpoolDamaged(f"{path} at {offset}")
    return payload


def read_segment(path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of every whole record, in order; the segment is cut at the first torn one."""
    offset = 0
    with path.open("r+b") as file:
        size = path.stat().st_size
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            payload = file.read(length) if length <= _RECORD_BYTES_MAX else b""
            if length == 0 or len(payload) < length or crc32(payload) != checksum:
                break
            yield offset, payload
            offset += _HEADER.size + length
        if offset < size:
            logger.warning("spool segment cut at a torn record", extra={"segment": path.name, "bytes": size - offset})
            file.truncate(offset)
            os.fsync(file.fileno())
