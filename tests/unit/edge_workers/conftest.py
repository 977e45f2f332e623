"""Channels and catalogs with few words."""

from __future__ import annotations

from typing import Any

from lumen.catalog.document import Catalog, Channel

ENVIRON = {"KEY": "s3cret", "OTHER": "0ther"}


def channel(name: str = "main", **changed: Any) -> Channel:
    fields: dict[str, Any] = {
        "name": name,
        "dialects": {"openai_chat": "http://127.0.0.1:1/v1"},
        "secret": "env:KEY",
        "models": {"m": "m"},
        "limits": {"concurrency": 2},
        **changed,
    }
    return Channel(**fields)


def catalog(*channels: Channel) -> Catalog:
    return Catalog(channels=channels)
