"""`manifest.json`: what a backup holds. It is written last, so a directory without one is no backup."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from lumen.backup.errors import BrokenBackup, NotEmpty

FORMAT = 1
_FILE = "manifest.json"
_READ_BYTES = 1024 * 1024


class StoredFile(msgspec.Struct, frozen=True):
    """`name` is relative to the backup's directory."""

    name: str
    size_bytes: int
    sha256: str


class StoredStream(msgspec.Struct, frozen=True):
    """A JetStream stream (a KV bucket is one): its file is the server's own snapshot."""

    name: str
    messages: int
    config: dict[str, Any]
    state: dict[str, Any]
    file: StoredFile


class StoredTable(msgspec.Struct, frozen=True):
    """A ClickHouse table or view, `name` with its database. A view has no file."""

    name: str
    create_statement: str
    file: StoredFile | None = None


class Manifest(msgspec.Struct, frozen=True):
    format: int
    lumen_version: str
    started_at: str  # RFC 3339
    finished_at: str
    database: str  # ClickHouse's
    tables: list[StoredTable]
    streams: list[StoredStream]

    @property
    def size_bytes(self) -> int:
        files = [table.file for table in self.tables] + [stream.file for stream in self.streams]
        return sum(file.size_bytes for file in files if file is not None)


def prepare(directory: Path) -> None:
    """Only its owner may read it: it holds hashes of keys and passwords. Raises NotEmpty."""
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    if any(directory.iterdir()):
        raise NotEmpty(f"{directory} is not empty")


async def store_file(directory: Path, name: str, pieces: AsyncIterator[bytes]) -> StoredFile:
    digest, size_bytes = hashlib.sha256(), 0
    with _create(directory / name) as file:
        async for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size_bytes += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return StoredFile(name, size_bytes, digest.hexdigest())


def store_manifest(directory: Path, manifest: Manifest) -> None:
    partial = directory / f"{_FILE}.partial"
    with _create(partial) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(directory / _FILE)


def load_manifest(directory: Path) -> Manifest:
    """With every file's digest checked. Raises BrokenBackup."""
    try:
        manifest = msgspec.json.decode((directory / _FILE).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise BrokenBackup(f"{directory} holds no finished backup ({_FILE} is missing)") from error
    except msgspec.DecodeError as error:
        raise BrokenBackup(f"{directory / _FILE}: {error}") from error
    if manifest.format != FORMAT:
        raise BrokenBackup(f"the backup has format {manifest.format}; this Lumen reads {FORMAT}")
    for table in manifest.tables:
        if table.file is not None:
            _check(directory, table.file)
    for stream in manifest.streams:
        _check(directory, stream.file)
    return manifest


def read_pieces(path: Path, piece_bytes: int = _READ_BYTES) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(piece_bytes):
            yield piece


def _check(directory: Path, stored: StoredFile) -> None:
    path = directory / stored.name
    digest = hashlib.sha256()
    try:
        for piece in read_pieces(path):
            digest.update(piece)
    except FileNotFoundError as error:
        raise BrokenBackup(f"{path} is missing") from error
    if digest.hexdigest() != stored.sha256:
        raise BrokenBackup(f"{path} is not what was backed up (SHA-256)")


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
