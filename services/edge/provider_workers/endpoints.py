"""Where one channel is reached in one dialect, and with which headers; computed once, used for every request."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from lumen.catalog.document import Dialect
from services.edge.provider_workers.secrets import Secret
from services.edge.provider_workers.transport import Headers, StaticHeaders

ANTHROPIC_VERSION = b"2023-06-01"
# Ours to set. What a caller passes on under these names is dropped: a client's key must never go upstream, and framing
# belongs to the transport.
_RESERVED = frozenset(
    (
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"api-key",
        b"proxy-authorization",
        b"cookie",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"accept-encoding",
    )
)


def split_base_url(url: str) -> tuple[str, bytes]:
    """(origin, path prefix) of a base URL: `https://api.openai.com/v1` -> `https://api.openai.com`, `/v1`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._").encode()


def _auth_headers(dialect: Dialect, secret: Secret) -> Headers:
    if dialect == "anthropic_messages":
        return [(b"x-api-key", secret.reveal())]
    if dialect == "gemini_generate":
        return [(b"x-goog-api-key", secret.reveal())]
    return [(b"authorization", b"Bearer " + secret.reveal())]


class RequestHeaders:
    """The headers of a dialect: fixed ones, and defaults that a caller's own header of that name replaces."""

    __slots__ = ("_by_replaced", "_defaults", "_fixed", "_names")

    def __init__(self, dialect: Dialect, secret: Secret, user_agent: bytes) -> None:
        self._fixed = [*_auth_headers(dialect, secret), (b"accept-encoding", b"identity")]
        self._defaults = {b"content-type": b"application/json", b"user-agent": user_agent, b"accept": b"*/*"}
        if dialect == "anthropic_messages":
            self._defaults[b"anthropic-version"] = ANTHROPIC_VERSION
        self._names = _RESERVED.union(self._defaults)
        self._by_replaced: dict[tuple[bytes, ...], StaticHeaders] = {}

    def merge(self, headers: Headers) -> tuple[StaticHeaders, Headers]:
        """(ours, what is sent of the caller's). Names are lower case."""
        special = [name for name, _ in headers if name in self._names]
        if special and not _RESERVED.isdisjoint(special):
            headers = [header for header in headers if header[0] not in _RESERVED]
            special = [name for name in special if name not in _RESERVED]
        # At most one entry per subset of the defaults: repeated names and their order do not count.
        replaced = tuple(special) if len(special) < 2 else tuple(sorted(set(special)))
        static = self._by_replaced.get(replaced)
        if static is None:
            kept = [(name, value) for name, value in self._defaults.items() if name not in replaced]
            static = self._by_replaced[replaced] = StaticHeaders([*self._fixed, *kept])
        return static, headers
