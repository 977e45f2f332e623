"""/admin/v1/tokens: scoped tokens of this API, kept by auth as hashes. Only root and `full` tokens come here."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from protos import auth_pb2
from services.console.accounts_api import future_s
from services.console.authorization import Caller
from services.console.bodies import TimeText
from services.console.pages import Cursor, Limit, page_of
from services.console.parts import ADMIN_ROOT, PartsDependency
from services.console.times import format_time

router = APIRouter(prefix=f"{ADMIN_ROOT}/tokens", tags=["tokens"])


class CreateToken(BaseModel):
    """`read_only`: every GET. `finance`: and post credits. `keys`: accounts, catalog and keys. `full`: everything."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"name": "warehouse", "scope": "read_only", "expires": "365d"}]},
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
    scope: Literal["read_only", "finance", "keys", "full"]
    expires: TimeText | None = None


class TokenView(BaseModel):
    id: str
    name: str
    scope: str
    prefix: str
    created_at: str | None
    created_by: str
    expires_at: str | None
    revoked_at: str | None


class CreatedTokenView(TokenView):
    secret: str = Field(description="here and never again")


class TokensView(BaseModel):
    tokens: list[TokenView]  # oldest first, revoked ones too
    next_cursor: str | None


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_token(body: CreateToken, parts: PartsDependency, request: Request) -> CreatedTokenView:
    """The answer's `secret` is shown here and never again."""
    caller: Caller = request.scope["lumen.caller"]
    order = auth_pb2.CreateAdminTokenRequest(name=body.name, scope=body.scope, created_by=caller.id)
    if body.expires is not None:
        order.expires_at_s = future_s("expires", body.expires, parts)
    backends = parts.backends
    answer = await backends.auth.call(backends.tokens.Create, order)
    return CreatedTokenView(secret=answer.secret, **_view(answer.token).model_dump())


@router.get("")
async def list_tokens(parts: PartsDependency, limit: Limit = 200, cursor: Cursor = "") -> TokensView:
    backends = parts.backends
    answer = await backends.auth.call(backends.tokens.List, auth_pb2.ListAdminTokensRequest())
    page, next_cursor = page_of(answer.tokens, lambda token: token.id, cursor, limit)
    return TokensView(tokens=[_view(token) for token in page], next_cursor=next_cursor)


@router.post("/{token_id}/revoke")
async def revoke_token(token_id: Annotated[str, Path(max_length=100)], parts: PartsDependency) -> TokenView:
    """For good, from the next request on."""
    backends = parts.backends
    return _view(await backends.auth.call(backends.tokens.Revoke, auth_pb2.RevokeAdminTokenRequest(id=token_id)))


def _view(token: auth_pb2.AdminToken) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scope=token.scope,
        prefix=token.prefix,
        created_at=format_time(token.created_at_s),
        created_by=token.created_by,
        expires_at=format_time(token.expires_at_s),
        revoked_at=format_time(token.revoked_at_s),
    )
