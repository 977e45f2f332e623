"""Who may have what, in the order DESIGN.md section 7 fixes: 401, 403 (client, IP), 400, 404, 403 (models), 429, 402.

The steady state is synchronous: key, route and lease are all looked up in memory. Only a miss awaits.
"""

from __future__ import annotations

import hashlib
import time

from lumen.catalog.document import Group
from lumen.catalog.resolve import Resolution
from lumen.protocols.claude_code import is_claude_code
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.peek import InvalidRequest, Peek, peek
from services.edge.bad_keys import BadKeys
from services.edge.client_address import parse_address
from services.edge.key_cache import ApiKey, AuthUnreachable, KeyCache
from services.edge.request_head import RequestHead
from services.edge.route_tables import RouterUnreachable, RouteTables

KEY_PREFIX = b"sk-lumen-"
_AUTHORIZATION_BYTES_MAX = 512


class Admission:
    def __init__(self, keys: KeyCache, tables: RouteTables, bad_keys: BadKeys) -> None:
        self._keys = keys
        self._bad_keys = bad_keys
        self._tables = tables

    async def authenticate(self, fields: dict[bytes, bytes], client_ip: str) -> ApiKey:
        """The request's key. Raises ApiError 401, 403 (IP), 429 (too many unknown keys), 503."""
        secret = _bearer(fields.get(b"authorization", b""))
        if secret is None:
            raise ApiError(ErrorKind.AUTHENTICATION, _missing_key_message(fields))
        digest = hashlib.sha256(secret).digest()
        key = self._keys.lookup(digest)
        if key is None:
            key = await self._ask(digest, client_ip)
        self._check_key(key, client_ip)
        return key

    async def _ask(self, digest: bytes, client_ip: str) -> ApiKey:
        """Raises ApiError 401, 429, 503."""
        if not self._keys.knows(digest):
            retry_after_s = self._bad_keys.refusal_s(client_ip)
            if retry_after_s:
                raise ApiError(
                    ErrorKind.RATE_LIMIT,
                    "Too many incorrect API keys came from your address. Please retry later.",
                    retry_after_s=retry_after_s,
                )
        try:
            key = await self._keys.authenticate(digest)
        except AuthUnreachable as error:
            raise ApiError(
                ErrorKind.OVERLOADED, "Keys cannot be checked at the moment. Please retry.", retry_after_s=2
            ) from error
        if key is None:
            self._bad_keys.failed(client_ip)
            raise ApiError(ErrorKind.AUTHENTICATION, "Incorrect API key provided.")
        return key

    def _check_key(self, key: ApiKey, client_ip: str) -> None:
        if key.is_revoked:
            raise ApiError(ErrorKind.AUTHENTICATION, "This API key has been revoked.")
        if key.expires_at_s and key.expires_at_s <= time.time():
            raise ApiError(ErrorKind.AUTHENTICATION, "This API key has expired.")
        if key.is_account_suspended:
            raise ApiError(ErrorKind.PERMISSION, "This account is suspended.")
        if key.networks:
            address = parse_address(client_ip)
            if address is None or not any(address in network for network in key.networks):
                raise ApiError(ErrorKind.PERMISSION, "This API key may not be used from your IP address.")

    def group_of(self, key: ApiKey) -> Group:
        """Raises ApiError 403 when the key's group is gone, 503 before the first catalog."""
        group = self._tables.group(key.group)
        if group is None:
            if self._tables.revision == 0:
                raise ApiError(ErrorKind.OVERLOADED, "No catalog has been applied yet.", retry_after_s=2)
            raise ApiError(ErrorKind.PERMISSION, f"The group of this API key ({key.group}) does not exist any more.")
        return group

    def read_request(
        self,
        dialect: Dialect,
        body: bytes,
        group: Group,
        head: RequestHead,
        *,
        is_output_cap_required: bool = True,
    ) -> Peek:
        """Parse what decides. Raises ApiError 403 (client) before 400, as a restricted group owes strangers no more."""
        try:
            peeked = peek(dialect, body, is_output_cap_required=is_output_cap_required)
        except InvalidRequest as error:
            if group.clients:
                raise _wrong_client(group) from error
            raise ApiError(ErrorKind.INVALID_REQUEST, error.message, param=error.param, code=error.code) from error
        if group.clients and not is_claude_code(_path_query(head), head.fields, peeked):
            raise _wrong_client(group)
        return peeked

    async def resolve(self, key: ApiKey, model: str) -> Resolution:
        """Raises ApiError 404, 403 (the key's model list), 503."""
        try:
            resolution = await self._tables.resolve(key.group, model)
        except RouterUnreachable as error:
            raise ApiError(ErrorKind.OVERLOADED, "No route is known at the moment.", retry_after_s=2) from error
        if resolution is None:
            raise ApiError(
                ErrorKind.NOT_FOUND,
                f"The model `{model[:200]}` does not exist or your API key has no access to it.",
                code="model_not_found",
            )
        if key.models and resolution.model.code not in key.models:
            raise ApiError(ErrorKind.PERMISSION, f"This API key may not use the model `{resolution.model.code}`.")
        return resolution


def _bearer(authorization: bytes) -> bytes | None:
    if len(authorization) > _AUTHORIZATION_BYTES_MAX or authorization[:7].lower() != b"bearer ":
        return None
    secret = authorization[7:].strip()
    return secret if secret.startswith(KEY_PREFIX) else None


def _missing_key_message(fields: dict[bytes, bytes]) -> str:
    if b"x-api-key" in fields and b"authorization" not in fields:
        return "Lumen reads the key from the header `Authorization: Bearer sk-lumen-...`, not from `x-api-key`."
    if b"authorization" not in fields:
        return "You didn't provide an API key. Send it as `Authorization: Bearer sk-lumen-...`."
    return "Incorrect API key provided. Lumen's keys look like `Authorization: Bearer sk-lumen-...`."


def _wrong_client(group: Group) -> ApiError:
    return ApiError(ErrorKind.PERMISSION, f"The group `{group.name}` of this API key is restricted to Claude Code.")


def _path_query(head: RequestHead) -> str:
    return f"{head.path}?{head.query.decode('latin-1')}" if head.query else head.path
