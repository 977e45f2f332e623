"""The low-balance alert of an account: where it goes, below which balance, what became of the last one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from lumen.money.amounts import format_usd
from protos import auth_pb2
from services.console.amounts import parse_usd
from services.console.errors import ConsoleError
from services.console.web.pages import go_to, pages_of
from services.console.web.visitors import Member, Submitted, Visitor, parts_of
from services.console.webhook_addresses import check_url

router = APIRouter(include_in_schema=False)


@router.get("/alerts")
async def alerts(request: Request, who: Member, done: str = "") -> Response:
    parts = parts_of(request)
    alert: auth_pb2.AlertSetting | None
    try:
        alert = await parts.backends.auth.call(
            parts.backends.alerts.GetAlert, auth_pb2.GetAlertRequest(account_id=who.account_id)
        )
    except ConsoleError as error:
        if error.kind != "alert_not_found":
            raise
        alert = None
    values = {} if alert is None else {"url": alert.url, "threshold_usd": format_usd(alert.threshold_nanousd)}
    return _page(request, who, alert, values, done=done)


@router.post("/alerts")
async def set_alert(request: Request, who: Member, form: Submitted) -> Response:
    parts = parts_of(request)
    order = auth_pb2.SetAlertRequest(account_id=who.account_id)
    is_removed = form.text("action") == "remove"
    try:
        if not is_removed:
            order.url = check_url(form.text("url"), allows_private=parts.webhooks_allow_private)
            try:
                order.threshold_nanousd = parse_usd(form.text("threshold_usd"))
            except ValueError as error:
                raise ConsoleError(f"{who.say('Threshold')}: {error}", kind="invalid_fields") from error
        await parts.backends.auth.call(parts.backends.alerts.SetAlert, order)
    except ConsoleError as error:
        if error.row.http_status >= 500:
            raise
        return _page(request, who, None, form.values(), error)
    return go_to("/alerts", done="removed" if is_removed else "saved")


def _page(
    request: Request,
    who: Visitor,
    alert: auth_pb2.AlertSetting | None,
    values: dict[str, str],
    error: ConsoleError | None = None,
    done: str = "",
) -> Response:
    status = error.row.http_status if error is not None else 200
    return pages_of(request).show(
        request, who, "alerts.html", status, alert=alert, values=values, error=error, done=done
    )
