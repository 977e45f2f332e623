"""Operators: channels with their health and figures, and the switch that takes one out of use.

The switch is a catalog revision like any other change: recorded, told to every edge within a second, rolled back alike.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from lumen.catalog.document import Channel
from lumen.catalog.parse import catalog_from_json
from protos import router_pb2
from services.console.errors import ConsoleError
from services.console.web.pages import go_to, pages_of
from services.console.web.queries import ChannelFigures
from services.console.web.visitors import Operator, Submitted, parts_of

router = APIRouter(prefix="/operator/channels", include_in_schema=False)

_HOURS = (1, 24, 168)
_NO_FIGURES = ChannelFigures()


@dataclass(frozen=True, slots=True)
class ChannelRow:
    channel: Channel
    state: str  # ready | disabled | unknown: what the edges say
    reason: str
    open_verdicts: list[router_pb2.Verdict]  # breakers found open
    figures: ChannelFigures


@router.get("")
async def channels(request: Request, who: Operator, hours: int = 24, done: str = "") -> Response:
    parts = parts_of(request)
    hours = hours if hours in _HOURS else 24
    try:
        shown, figures = await asyncio.gather(
            parts.backends.router.call(parts.backends.catalog.Show, router_pb2.ShowRequest()),
            parts.pages.channels(parts.now_s() - hours * 3600),
        )
    except ConsoleError as error:
        if error.row.http_status != 404:
            raise
        shown, figures = router_pb2.ShowResponse(catalog_json=b"{}"), {}
    reports = {report.channel: report for report in shown.channels}
    rows = [
        ChannelRow(
            channel=channel,
            state=reports[channel.name].state if channel.name in reports else "unknown",
            reason=reports[channel.name].reason if channel.name in reports else "",
            open_verdicts=[each for each in shown.verdicts if each.channel == channel.name and each.is_open],
            figures=figures.get(channel.name, _NO_FIGURES),
        )
        for channel in catalog_from_json(shown.catalog_json).channels
    ]
    return pages_of(request).show(
        request, who, "operator_channels.html", rows=rows, hours=hours, hours_offered=_HOURS, done=done
    )


@router.post("/{name}/switch")
async def switch(request: Request, who: Operator, name: str, form: Submitted) -> Response:
    """`to`: off or on. Refused (409) when the catalog was changed meanwhile."""
    backends = parts_of(request).backends
    shown = await backends.router.call(backends.catalog.Show, router_pb2.ShowRequest())
    document = json.loads(shown.catalog_json)
    channel = next((each for each in document.get("channels", ()) if each["name"] == name), None)
    if channel is None:
        raise ConsoleError("there is no such channel", kind="not_found")
    channel["disabled"] = form.text("to") == "off"
    reason = form.text("reason")
    note = f"channel {name} {'disabled' if channel['disabled'] else 'enabled'}{f': {reason}' if reason else ''}"
    order = router_pb2.ApplyRequest(
        source=json.dumps(document, ensure_ascii=False),
        source_name=f"channel {name}",
        note=note[:500],
        expected_revision=shown.revision,
    )
    answer = await backends.router.call(backends.catalog.Apply, order)
    if answer.problems:
        raise ConsoleError(answer.problems[0].message, kind="invalid_catalog")
    return go_to("/operator/channels", done="off" if channel["disabled"] else "on")
