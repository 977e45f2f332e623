"""A stored catalog revision: the KV value under `rev.<n>` of bucket `catalog`. Created once, never changed."""

from __future__ import annotations

import hashlib

import msgspec

from lumen.catalog.document import Catalog
from lumen.catalog.parse import catalog_from_json

_KEY_PREFIX = "rev."


class StoredRevision(msgspec.Struct, frozen=True):
    """`catalog` is the canonical JSON, verbatim; `hash` its SHA-256 in hex."""

    catalog: msgspec.Raw
    created_at_s: int
    note: str
    hash: str

    def read_catalog(self) -> Catalog:
        """Raises ValueError."""
        return catalog_from_json(bytes(self.catalog))


_decoder = msgspec.json.Decoder(StoredRevision)
_encoder = msgspec.json.Encoder()


def content_hash(catalog_json: bytes) -> str:
    return hashlib.sha256(catalog_json).hexdigest()


def encode_revision(catalog_json: bytes, *, created_at_s: int, note: str) -> bytes:
    """`catalog_json`: as `catalog_to_json` gives it."""
    return _encoder.encode(StoredRevision(msgspec.Raw(catalog_json), created_at_s, note, content_hash(catalog_json)))


def decode_revision(value: bytes) -> StoredRevision:
    """Raises msgspec.DecodeError (a ValueError)."""
    return _decoder.decode(value)


def revision_key(number: int) -> str:
    return f"{_KEY_PREFIX}{number}"


def revision_number(key: str) -> int | None:
    """None: not a revision's key."""
    digits = key.removeprefix(_KEY_PREFIX)
    return int(digits) if digits != key and digits.isdecimal() else None
