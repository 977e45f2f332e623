"""Who may call what of the admin API: the root token everything, a scoped token what its scope allows.

A scope is a list of (method, path) patterns below /admin/v1; `*` stands for one segment, a trailing `**` for any rest.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from protos import auth_pb2
from services.console.backends import Backends
from services.console.errors import Forbidden, Unauthorized

ADMIN_ROOT = "/admin/v1"
TOKEN_PREFIX = "sk-lumen-admin-"
_TOKEN_CHARS_MAX = 200

Scope = Literal["read_only", "finance", "keys", "full"]
_READ = (
    ("GET", "/accounts/**"),
    ("GET", "/catalog/**"),
    ("GET", "/finance/**"),
    ("GET", "/keys/**"),
    ("GET", "/ledger/**"),
    ("GET", "/reconcile"),
    ("GET", "/usage/**"),
    ("GET", "/users/**"),
    ("POST", "/route/explain"),
)
SCOPES: Mapping[Scope, Sequence[tuple[str, str]]] = {
    "read_only": _READ,
    "finance": (*_READ, ("POST", "/accounts/*/credits")),
    "keys": (("GET", "/accounts/**"), ("GET", "/catalog/**"), ("GET", "/keys/**"), ("POST", "/keys/**")),
    "full": (("*", "/**"),),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """`id`: "root", or the token's."""

    id: str
    scope: Scope


ROOT = Caller("root", "full")


class Authorization:
    """Asks auth for every scoped token: a revoked one is refused at once."""

    def __init__(self, root_token: str, backends: Backends) -> None:
        self._root_token = root_token.encode()
        self._backends = backends

    async def authorize(self, authorization: str, method: str, path: str) -> Caller:
        """`authorization`: the header. Raises Unauthorized, Forbidden, Unavailable."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("the admin token is missing: Authorization: Bearer ...")
        if hmac.compare_digest(token.encode(), self._root_token):
            return ROOT
        if not token.startswith(TOKEN_PREFIX) or len(token) > _TOKEN_CHARS_MAX:
            raise Unauthorized("the admin token is wrong")
        request = auth_pb2.AuthenticateAdminTokenRequest(token_sha256=hashlib.sha256(token.encode()).digest())
        answer = await self._backends.auth.call(self._backends.tokens.Authenticate, request)
        if not answer.HasField("token"):
            raise Unauthorized("the admin token is wrong, has expired or was revoked")
        for scope, patterns in SCOPES.items():
            if scope == answer.token.scope and is_allowed(patterns, method, path):
                return Caller(answer.token.id, scope)
        raise Forbidden(f"a token of scope {answer.token.scope} may not {method} {path[:200]}")


def is_allowed(patterns: Sequence[tuple[str, str]], method: str, path: str) -> bool:
    """`path` whole; a HEAD is a GET."""
    method = "GET" if method == "HEAD" else method
    segments = path.removeprefix(ADMIN_ROOT).strip("/").split("/")
    return any(
        allowed in (method, "*") and _matches(pattern.strip("/").split("/"), segments) for allowed, pattern in patterns
    )


def _matches(pattern: list[str], segments: list[str]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        segments = segments[: len(pattern)]
    return len(pattern) == len(segments) and all(
        wanted in ("*", found) for wanted, found in zip(pattern, segments, strict=True)
    )
