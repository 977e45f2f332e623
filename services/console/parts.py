"""What the endpoints are given: made once by the bootstrap, found through the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.console.authorization import ADMIN_ROOT
from services.console.backends import Backends
from services.console.explanations import Explanations
from services.console.finance.exports import Exports
from services.console.finance.liabilities import Liabilities
from services.console.finance.queries import FinanceQueries
from services.console.request_log import RequestLog
from services.console.statements import Statements
from services.console.usage_queries import UsageQueries
from services.console.web.queries import PageQueries

__all__ = ["ADMIN_ROOT", "Parts", "PartsDependency"]


@dataclass(frozen=True, slots=True)
class Parts:
    backends: Backends
    usage: UsageQueries
    requests: RequestLog
    explanations: Explanations
    statements: Statements
    finance: FinanceQueries
    liabilities: Liabilities
    exports: Exports
    issuer: str  # who sells credits and bills them
    now_s: Callable[[], int]  # Unix seconds
    pages: PageQueries
    public_url: str = ""  # of the console; empty: as the request came
    api_url: str = "http://127.0.0.1:7080"  # of the public API, without /v1
    webhooks_allow_private: bool = False


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDependency = Annotated[Parts, Depends(_parts)]
