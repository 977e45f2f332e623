"""How to connect: filled-in set-up for the usual clients, the playground, and the public page of the API."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from lumen.protocols.error_kinds import ERROR_ROWS
from services.console.bodies import CreateKey
from services.console.keys_api import create_key
from services.console.web.account_pages import chosen_group, live_prices
from services.console.web.pages import pages_of
from services.console.web.price_lists import GroupRow
from services.console.web.snippets import Snippet, snippets
from services.console.web.visitors import AnyVisitor, Member, Submitted, Visitor, parts_of

router = APIRouter(include_in_schema=False)

KEY_PLACEHOLDER = "sk-lumen-..."
_PLAYGROUND_LIFE = "1h"
_PLAYGROUND_LIMIT_USD = "1"


@dataclass(frozen=True, slots=True)
class _ErrorLine:
    status: int
    openai: str
    anthropic: str


@router.get("/connect")
async def connect(request: Request, who: Member, group: str = "", model: str = "") -> Response:
    parts = parts_of(request)
    groups, _ = await live_prices(parts)
    chosen = chosen_group(groups, group)
    codes = [each.code for each in chosen.models] if chosen is not None else []
    picked = model if model in codes else ""
    return pages_of(request).show(
        request,
        who,
        "connect.html",
        groups=groups,
        chosen=chosen,
        model=picked,
        snippets=snippets_for(parts.api_url, groups, chosen.name if chosen else "", KEY_PLACEHOLDER, picked),
        placeholder=KEY_PLACEHOLDER,
    )


@router.get("/playground")
async def playground(request: Request, who: Member) -> Response:
    return await _playground_page(request, who)


@router.post("/playground")
async def playground_key(request: Request, who: Member, form: Submitted) -> Response:
    """A key that lasts an hour and spends little, for this page."""
    body = CreateKey(
        account=who.account_id,
        group=form.text("group"),
        name="Playground",
        expires=_PLAYGROUND_LIFE,
        spend_limit_usd=_PLAYGROUND_LIMIT_USD,
    )
    created = await create_key(body, parts_of(request))
    return await _playground_page(request, who, created.secret, created.group)


async def _playground_page(request: Request, who: Visitor, secret: str = "", group: str = "") -> Response:
    parts = parts_of(request)
    groups, _ = await live_prices(parts)
    offered = [each for each in groups if not each.clients]  # the others serve one client program only
    chosen = chosen_group(offered, group)
    return pages_of(request).show(
        request, who, "playground.html", groups=offered, chosen=chosen, secret=secret, api_url=parts.api_url
    )


@router.get("/docs")
async def docs(request: Request, who: AnyVisitor, group: str = "") -> Response:
    """Public: what anybody needs to use the API."""
    parts = parts_of(request)
    groups, revision = await live_prices(parts)
    chosen = chosen_group(groups, group)
    return pages_of(request).show(
        request,
        who,
        "docs.html",
        groups=groups,
        chosen=chosen,
        revision=revision,
        api_url=parts.api_url,
        snippets=snippets_for(parts.api_url, groups, chosen.name if chosen else "", KEY_PLACEHOLDER),
        errors=[
            _ErrorLine(row.status, row.openai_code or row.openai_type, row.anthropic_type)
            for row in ERROR_ROWS.values()
        ],
    )


def snippets_for(api_url: str, groups: list[GroupRow], group: str, key: str, model: str = "") -> list[Snippet]:
    """With a model of the group: the one asked for, else its first, else a well-known name."""
    found = chosen_group(groups, group)
    codes = [each.code for each in found.models] if found is not None else []
    claude = next((code for code in codes if code.startswith("claude")), "")
    first = model or (codes[0] if codes else "claude-opus-4-8")
    clients = found.clients if found is not None else ()
    return snippets(api_url, key, first, model or claude or first, only_claude_code="claude_code" in clients)


@router.get("/docs/admin")
async def admin_docs(request: Request, who: AnyVisitor) -> Response:
    """The admin API's operations, from its own OpenAPI document; the document itself is at /openapi.json."""
    document = request.app.state.admin_openapi()
    operations = [
        (method.upper(), path, operation.get("description") or operation.get("summary") or "")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return pages_of(request).show(
        request, who, "docs_admin.html", operations=operations, about=document["info"]["description"]
    )
