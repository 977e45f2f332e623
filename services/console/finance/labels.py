"""Names beside ids, as auth knows them: of accounts and of keys."""

from __future__ import annotations

from protos import auth_pb2
from services.console.backends import Backends
from services.console.finance.scope import Dimension


async def labels_of(backends: Backends, by: Dimension | None) -> dict[str, str]:
    """id -> name; empty for what is its own name. Raises ConsoleError."""
    if by == "account":
        accounts = await backends.auth.call(backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest())
        return {account.id: account.name for account in accounts.accounts}
    if by == "key":
        keys = await backends.auth.call(backends.accounts.ListKeys, auth_pb2.ListKeysRequest())
        return {key.view.key_id: key.view.name for key in keys.keys}
    return {}
