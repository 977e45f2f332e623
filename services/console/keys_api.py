"""/admin/v1/keys: auth's API keys, checked against router's catalog when they are made."""

from __future__ import annotations

from fastapi import APIRouter, status

from lumen.catalog.parse import catalog_from_json
from protos import auth_pb2, router_pb2
from services.console.accounts_api import future_s, spend_limit
from services.console.bodies import CreateKey
from services.console.key_rules import model_codes
from services.console.pages import Cursor, Limit, page_of
from services.console.parts import ADMIN_ROOT, PartsDependency
from services.console.views import CreatedKeyView, KeysView, KeyView, created_key_view, key_view

router = APIRouter(prefix=f"{ADMIN_ROOT}/keys", tags=["keys"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(body: CreateKey, parts: PartsDependency) -> CreatedKeyView:
    """The answer's `secret` is shown here and never again."""
    backends = parts.backends
    order = auth_pb2.CreateKeyRequest(
        group=body.group,
        name=body.name,
        ips=body.ips,
        rpm=body.rpm or 0,
        tpm=body.tpm or 0,
        concurrency=body.concurrency or 0,
        spend_limit_nanousd=spend_limit("spend_limit_usd", body.spend_limit_usd),
        spend_day_nanousd=spend_limit("spend_day_usd", body.spend_day_usd),
        spend_month_nanousd=spend_limit("spend_month_usd", body.spend_month_usd),
    )
    if body.expires is not None:
        order.expires_at_s = future_s("expires", body.expires, parts)
    order.account_id = (await backends.account(body.account)).id
    shown = await backends.router.call(backends.catalog.Show, router_pb2.ShowRequest())
    order.models.extend(model_codes(catalog_from_json(shown.catalog_json), body.group, body.models))
    return created_key_view(await backends.auth.call(backends.accounts.CreateKey, order))


@router.get("")
async def list_keys(parts: PartsDependency, account: str = "", limit: Limit = 200, cursor: Cursor = "") -> KeysView:
    """Of one account (id or name), or all; oldest first."""
    backends = parts.backends
    account_id = (await backends.account(account)).id if account else ""
    answer = await backends.auth.call(backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=account_id))
    page, next_cursor = page_of(answer.keys, lambda key: key.view.key_id, cursor, limit)
    return KeysView(keys=[key_view(key) for key in page], next_cursor=next_cursor)


@router.post("/{key_id}/revoke")
async def revoke_key(key_id: str, parts: PartsDependency) -> KeyView:
    """For good: every edge refuses the key within a second."""
    backends = parts.backends
    return key_view(await backends.auth.call(backends.accounts.RevokeKey, auth_pb2.RevokeKeyRequest(key_id=key_id)))
