"""Keeps out of every service what nats-py would import for a feature that no service uses.

nats-py imports aiohttp, where it finds it, for NATS over WebSocket; here it is installed for the ClickHouse client.
Unused, it takes a fifth of a service's start-up and 8 MB of its memory.

`lumen.platform.lifecycle` imports this before any service imports nats.
"""

from __future__ import annotations

import importlib
import sys


def import_without(module: str, package: str) -> None:
    """Import `module` as if `package` was not installed; whoever imports `package` later gets it.

    Nothing happens when either is imported already.
    """
    if module in sys.modules or package in sys.modules:
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what makes an import raise ImportError
    try:
        importlib.import_module(module)
    finally:
        del sys.modules[package]


import_without("nats.aio.transport", "aiohttp")
