"""The stored form of a revision."""

from __future__ import annotations

import msgspec
import pytest

from lumen.catalog.parse import catalog_to_json
from lumen.catalog.revisions import content_hash, decode_revision, encode_revision, revision_key, revision_number
from tests.unit.catalog.catalogs import issue_example


def test_revision_keeps_the_catalog_byte_for_byte() -> None:
    data = catalog_to_json(issue_example())
    stored = decode_revision(encode_revision(data, created_at_s=5, note="n"))
    assert bytes(stored.catalog) == data
    assert (stored.created_at_s, stored.note, stored.hash) == (5, "n", content_hash(data))
    assert stored.read_catalog() == issue_example()


def test_keys_are_numbers_and_nothing_else() -> None:
    assert revision_number(revision_key(12)) == 12
    assert [revision_number(key) for key in ("12", "rev.", "rev.x", "rev.-1", "current")] == [None] * 5


def test_anything_else_is_refused() -> None:
    for value in (b"", b"{}", b'{"catalog": {}}'):
        with pytest.raises(msgspec.DecodeError):
            decode_revision(value)
