"""`lumen usage` and `lumen reconcile`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lumen.cli.account_commands import Account
from lumen.cli.admin_client import AsJson, StateDir, find_api
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_json, print_table

_RECONCILE_TIMEOUT_S = 90.0
_HEADINGS = ("REQUESTS", "INPUT", "CACHE READ", "CACHE WRITE", "OUTPUT", "REASONING", "COST USD")


def register(app: typer.Typer) -> None:
    app.command()(usage)
    app.command()(reconcile)


@command
def usage(
    account: Account,
    since: Annotated[str, typer.Option(help="ISO date or time (UTC), or how long ago: 30m, 24h, 7d.")] = "30d",
    until: Annotated[str, typer.Option(help="As --since (else now).")] = "",
    by: Annotated[str, typer.Option(help="model, key or day.")] = "model",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what an account used and what it cost."""
    answer = find_api(state_dir).get("/usage", account=account, since=since, until=until, by=by)
    if as_json:
        print_json(answer)
        return
    rows = [(row["label"] or row["value"], *_figures(row)) for row in answer["rows"]]
    print_table((by.upper(), *_HEADINGS), [*rows, ("total", *_figures(answer["total"]))], right=_HEADINGS)


@command
def reconcile(
    account: Annotated[str, typer.Option(help="Only this account (id or name).")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Prove that ledger, rows and balances agree. Exit code 0 only when everything does, else 1."""
    answer = find_api(state_dir).get("/reconcile", account=account, timeout_s=_RECONCILE_TIMEOUT_S)
    if as_json:
        print_json(answer)
    else:
        _print_report(answer)
    if not answer["is_ok"]:
        raise typer.Exit(ExitCode.FAILURE)


def _print_report(report: dict[str, Any]) -> None:
    print_table(
        ("CHECK", "RESULT", "EXAMINED"),
        ((check["name"], "ok" if check["is_ok"] else "DRIFT", check["examined"]) for check in report["checks"]),
        right=("EXAMINED",),
    )
    for check in report["checks"]:
        for drift in check["drifts"]:
            print(f"{check['name']}: {drift}")
    verdict = "everything agrees" if report["is_ok"] else "NOT everything agrees"
    print(f"{verdict}: {report['entries']} entries, {report['dead_letters']} dead letters")


def _figures(counts: dict[str, Any]) -> tuple[object, ...]:
    return (
        counts["requests"],
        counts["input_tokens"],
        counts["cache_read_tokens"],
        counts["cache_write_5m_tokens"] + counts["cache_write_1h_tokens"],
        counts["output_tokens"],
        counts["reasoning_tokens"],
        counts["cost_usd"],
    )
