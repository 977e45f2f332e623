"""Where webhooks may go: public addresses only, so that an account holder cannot make console call the inside (SSRF).

Names are judged by what they resolve to when the connection is made, by the resolver the connection itself uses, so
that a name cannot point elsewhere between check and use. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from lumen.platform.addresses import is_public
from services.console.errors import ConsoleError

_URL_CHARS_MAX = 2000


def check_url(url: str, *, allows_private: bool) -> str:
    """The URL, when a person may set it. Raises ConsoleError (invalid_fields). `allows_private`: also plain HTTP and
    addresses that are not public, for development."""
    parts = urlsplit(url)
    problem = ""
    if len(url) > _URL_CHARS_MAX or parts.scheme not in ("http", "https") or not parts.hostname:
        problem = "write an address such as https://example.com/hooks/lumen"
    elif parts.username is not None or parts.password is not None:
        problem = "no user and password in the address; deliveries are signed"
    elif not allows_private:
        if parts.scheme != "https":
            problem = "must begin with https://"
        elif _is_literal(parts.hostname) and not is_public(parts.hostname):
            problem = "must be a public address"
    if problem:
        raise ConsoleError(f"URL: {problem}", kind="invalid_fields")
    return url


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class PublicResolver(AbstractResolver):
    """Resolves like aiohttp's own and keeps public addresses only. Raises OSError when none is left."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [result for result in await self._inner.resolve(host, port, family) if is_public(result["host"])]
        if not found:
            raise OSError(f"{host} has no public address")
        return found

    async def close(self) -> None:
        await self._inner.close()


def signature(secret: str, at_s: int, body: bytes) -> str:
    """`t=<Unix seconds>,v1=<hex>`: HMAC-SHA-256 of `<t>.<body>`, as receivers of webhooks know it."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def is_refused_host(url: str) -> bool:
    """A literal address that is not public: the resolver is not asked about those."""
    host = urlsplit(url).hostname or ""
    return _is_literal(host) and not is_public(host)
