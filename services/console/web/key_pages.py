"""An account holder's API keys: create, show the secret once, rotate, revoke."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.errors import ConsoleError
from services.console.web.account_pages import live_prices
from services.console.web.connect_pages import snippets_for
from services.console.web.key_orders import create_from_form, find_key, successor
from services.console.web.pages import go_to, pages_of
from services.console.web.queries import KeyUse
from services.console.web.visitors import Member, Submitted, Visitor, parts_of

router = APIRouter(include_in_schema=False)

_NEVER_USED = KeyUse(0, 0)


@router.get("/keys")
async def keys(request: Request, who: Member, done: str = "") -> Response:
    parts = parts_of(request)
    answer, uses = await asyncio.gather(
        parts.backends.auth.call(parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=who.account_id)),
        parts.pages.key_uses([who.account_id]),
    )
    listed = [(key, uses.get(key.view.key_id, _NEVER_USED)) for key in reversed(answer.keys)]
    return pages_of(request).show(
        request,
        who,
        "keys.html",
        active=[row for row in listed if not row[0].view.revoked],
        revoked=[row for row in listed if row[0].view.revoked],
        now_s=parts.now_s(),
        done=done,
    )


@router.get("/keys/new")
async def new_key(request: Request, who: Member) -> Response:
    return await _form_page(request, who, {})


@router.post("/keys/new")
async def create_key(request: Request, who: Member, form: Submitted) -> Response:
    try:
        created = await create_from_form(parts_of(request), who.account_id, form)
    except ConsoleError as error:
        if error.row.http_status >= 500:
            raise
        return await _form_page(request, who, form.values(), error)
    return await _secret_page(request, who, created.name, created.group, created.secret)


@router.get("/keys/{key_id}")
async def show_key(request: Request, who: Member, key_id: str) -> Response:
    parts = parts_of(request)
    key, uses = await asyncio.gather(find_key(parts, who.account_id, key_id), parts.pages.key_uses([who.account_id]))
    return pages_of(request).show(
        request, who, "key.html", key=key, use=uses.get(key_id, _NEVER_USED), now_s=parts.now_s()
    )


@router.post("/keys/{key_id}/revoke")
async def revoke_key(request: Request, who: Member, key_id: str, form: Submitted) -> Response:
    parts = parts_of(request)
    await find_key(parts, who.account_id, key_id)
    await parts.backends.auth.call(parts.backends.accounts.RevokeKey, auth_pb2.RevokeKeyRequest(key_id=key_id))
    return go_to("/keys", done="revoked")


@router.post("/keys/{key_id}/rotate")
async def rotate_key(request: Request, who: Member, key_id: str, form: Submitted) -> Response:
    """A successor with the same settings; the old key goes at once, or stays until it is revoked."""
    parts = parts_of(request)
    key = await find_key(parts, who.account_id, key_id)
    if key.view.revoked:
        raise ConsoleError("this key is revoked", kind="conflict")
    created = await successor(parts, key)
    is_old_kept = form.text("old") == "keep"
    if not is_old_kept:
        await parts.backends.auth.call(parts.backends.accounts.RevokeKey, auth_pb2.RevokeKeyRequest(key_id=key_id))
    return await _secret_page(
        request, who, key.view.name, key.view.group, created.secret, rotated=key, is_old_kept=is_old_kept
    )


async def _form_page(
    request: Request, who: Visitor, values: dict[str, str], error: ConsoleError | None = None
) -> Response:
    groups, _ = await live_prices(parts_of(request))
    return pages_of(request).show(
        request,
        who,
        "key_new.html",
        error.row.http_status if error is not None else 200,
        groups=groups,
        values=values,
        error=error,
    )


async def _secret_page(
    request: Request,
    who: Visitor,
    name: str,
    group: str,
    secret: str,
    *,
    rotated: auth_pb2.Key | None = None,
    is_old_kept: bool = False,
) -> Response:
    groups, _ = await live_prices(parts_of(request))
    return pages_of(request).show(
        request,
        who,
        "key_created.html",
        name=name,
        group=group,
        secret=secret,
        rotated=rotated,
        is_old_kept=is_old_kept,
        snippets=snippets_for(parts_of(request).api_url, groups, group, secret),
    )
