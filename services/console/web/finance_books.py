"""Finance: what is owed to accounts, and whether the books agree. Pages show what the API answers."""

from __future__ import annotations

from datetime import UTC, date, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.console.errors import ConsoleError, InvalidRequest
from services.console.finance import api as finance_api
from services.console.web.pages import pages_of
from services.console.web.visitors import Finance, parts_of

router = APIRouter(prefix="/finance", include_in_schema=False)

_ACCOUNTS_SHOWN = 100
# Of `lumen reconcile`, by name.
CHECK_TEXTS = {
    "ledger_posted": "Everything in the ledger is posted",
    "balances_equal_ledger": "Balances equal the ledger",
    "reserved_equals_open_leases": "What is reserved belongs to open leases",
    "batch_numbers_contiguous": "No batch is missing and none is double",
    "request_ids_unique": "No request is charged twice",
    "charges_equal_prices": "Every charge equals its prices",
    "expiries_equal_rests": "Every expiry took what its credit had left",
    "rollups_equal_rows": "The sums equal the rows",
    "dead_letters_listed": "Entries that could not be charged are listed",
}


@router.get("/liabilities")
async def liabilities(request: Request, who: Finance, at: str = "", cursor: str = "") -> Response:
    parts = parts_of(request)
    answer, problem = None, None
    try:
        day = date.fromisoformat(at) if at else None
        answer = await finance_api.liabilities(parts, day, _ACCOUNTS_SHOWN, cursor)
    except ValueError:
        problem = InvalidRequest("at", "write a day such as 2026-11-25")
    except InvalidRequest as error:
        problem = error
    return pages_of(request).show(
        request,
        who,
        "finance_liabilities.html",
        200 if problem is None else 422,
        answer=answer,
        error=problem,
        at=at,
        is_first=not cursor,
        today=str(datetime.fromtimestamp(parts.now_s(), UTC).date()),
    )


@router.get("/reconciliation")
async def reconciliation(request: Request, who: Finance, run: str = "") -> Response:
    """The proof reads everything, so it is run when it is asked for: `run=yes`."""
    parts = parts_of(request)
    answer, problem = None, None
    if run == "yes":
        try:
            answer = await finance_api.reconciliation(parts)
        except ConsoleError as error:
            problem = error
    return pages_of(request).show(
        request,
        who,
        "finance_reconciliation.html",
        200 if problem is None else problem.row.http_status,
        answer=answer,
        error=problem,
        ran_at_s=parts.now_s(),
        texts=CHECK_TEXTS,
    )
