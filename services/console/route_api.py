"""/admin/v1/route: why a request would go where it would go, as the edges themselves say."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from protos import auth_pb2, router_pb2
from services.console.errors import ConsoleError
from services.console.parts import ADMIN_ROOT, Parts, PartsDependency

router = APIRouter(prefix=f"{ADMIN_ROOT}/route", tags=["route"])

_SECRET_PREFIX = "sk-lumen-"


class ExplainRoute(BaseModel):
    """A body rather than a query: a key's secret belongs into no URL."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=512, description="A key's id, or its secret.")
    model: str = Field(min_length=1, max_length=200, description="A code or an alias.")
    text: str = Field(default="", max_length=4096, description="A conversation's first user text, for its affinity.")


class CandidateView(BaseModel):
    channel: str
    model: str
    upstream_model: str
    priority: int
    weight: int
    in_flight: int
    is_chosen: bool
    reason: str


class EdgeExplanationView(BaseModel):
    edge: str
    catalog_revision: int
    problem: str | None
    candidates: list[CandidateView]  # in the order they would be tried, then those left out


class ExplanationView(BaseModel):
    model: str
    group: str
    account: str
    refusal: str | None  # why the key is refused before any channel is looked at
    edges: list[EdgeExplanationView]  # empty: no edge is connected to this router


@router.post("/explain")
async def explain_route(body: ExplainRoute, parts: PartsDependency) -> ExplanationView:
    """Each edge lists each candidate and why it is or is not chosen, from the code that chooses."""
    backends = parts.backends
    key = await _key(parts, body.key)
    request = router_pb2.ExplainRequest(group=key.group, model=body.model, account_id=key.account_id, text=body.text)
    answer = await backends.router.call(backends.catalog.Explain, request)
    return ExplanationView(
        model=body.model,
        group=key.group,
        account=key.account_id,
        refusal=_refusal(key, body.model, parts.now_s(), answer),
        edges=[_edge(edge) for edge in answer.edges],
    )


async def _key(parts: Parts, key: str) -> auth_pb2.KeyView:
    backends = parts.backends
    if key.startswith(_SECRET_PREFIX):
        digest = hashlib.sha256(key.encode()).digest()
        request = auth_pb2.AuthenticateRequest(key_sha256=digest)
        found = await backends.auth.call(backends.keys.Authenticate, request)
        if found.HasField("key"):
            return found.key
        raise ConsoleError("there is no such key", kind="not_found")
    listed = await backends.auth.call(backends.accounts.ListKeys, auth_pb2.ListKeysRequest())
    for message in listed.keys:
        if message.view.key_id == key:
            return message.view
    raise ConsoleError("there is no such key", kind="not_found")


def _refusal(key: auth_pb2.KeyView, model: str, now_s: int, answer: router_pb2.ExplainResponse) -> str | None:
    if key.revoked:
        return "the key is revoked"
    if key.account_suspended:
        return "the account is suspended"
    if key.expires_at_s and key.expires_at_s <= now_s:
        return "the key has expired"
    codes = {candidate.model for edge in answer.edges for candidate in edge.candidates[:1]} or {model}
    if key.models and not codes & set(key.models):
        return "the key may not use this model"
    return None


def _edge(edge: router_pb2.ExplainedRequest) -> EdgeExplanationView:
    return EdgeExplanationView(
        edge=edge.worker_id,
        catalog_revision=edge.catalog_revision,
        problem=edge.problem or None,
        candidates=[
            CandidateView(
                channel=each.channel,
                model=each.model,
                upstream_model=each.upstream_model,
                priority=each.priority,
                weight=each.weight,
                in_flight=each.in_flight,
                is_chosen=each.is_chosen,
                reason=each.reason,
            )
            for each in edge.candidates
        ],
    )
