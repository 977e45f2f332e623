"""`lumen explain` and `lumen statement`: why a request cost what it cost, and what a month adds up to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lumen.cli.account_commands import Account
from lumen.cli.admin_client import AsJson, StateDir, find_api, segment
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_fields, print_json, print_table


def register(app: typer.Typer) -> None:
    app.command()(explain)
    app.command()(statement)


@command
def explain(
    request_id: Annotated[str, typer.Argument(help="The answer's x-request-id.")],
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Work a request's charge out again, line by line. Exit code 1 when it is not what was posted, 4: not posted."""
    answer = find_api(state_dir).get(f"/usage/requests/{segment(request_id)}/explain")
    if as_json:
        print_json(answer)
    else:
        _print_explanation(answer)
    if not answer["agrees"]:
        raise typer.Exit(ExitCode.FAILURE)


@command
def statement(
    account: Account,
    month: Annotated[str, typer.Option(help="YYYY-MM, UTC [the current month].")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a month: opening + credits - usage + adjustments = closing. Exit code 1 when it does not close."""
    answer = find_api(state_dir).get(f"/accounts/{segment(account)}/statement", month=month)
    if as_json:
        print_json(answer)
    else:
        _print_statement(answer)
    if answer["difference"]["nanousd"]:
        raise typer.Exit(ExitCode.FAILURE)


def _print_explanation(answer: dict[str, Any]) -> None:
    for entry in answer["entries"]:
        _print_entry(answer["request_id"], entry)
    verdict = "agrees with the ledger" if answer["agrees"] else "does NOT agree with the ledger"
    print(f"charged {answer['posted_usd']} USD ({answer['posted_nanousd']} nano-USD): {verdict}")


def _print_entry(request_id: str, entry: dict[str, Any]) -> None:
    hold = entry["hold"]
    marks = ["estimated"] * entry["is_estimated"] + ["not billable"] * (not entry["is_billable"])
    print_fields(
        (
            ("request", request_id),
            ("entry", f"{entry['position']}, batch {entry['batch']}"),
            ("account, key", f"{entry['account']}, {entry['key']}"),
            ("model", f"{entry['model']} by {entry['channel']} ({entry['upstream_model']})"),
            ("started", f"{entry['started_at']}, took {entry['duration_us']} us, status {entry['status']}"),
            ("catalog revision", entry["catalog_revision"]),
            ("marks", ", ".join(marks)),
        )
    )
    _print_charge("charge to group", entry["charge"])
    _print_charge("cost of channel", entry["upstream_cost"])
    print(f"margin: {entry['margin_nanousd']} nano-USD")
    print(
        f"hold: {hold['held_nanousd']} held, {hold['settled_nanousd']} settled, {hold['returned_nanousd']} returned"
        f" (nano-USD) of lease {hold['lease']}"
    )
    print_table(
        ("ATTEMPT", "CHANNEL", "STATUS", "REASON", "US", "FIRST BYTE US"),
        (
            (number, each["channel"], each["status"] or "none", each["reason"], each["duration_us"], each["ttft_us"])
            for number, each in enumerate(entry["attempts"], 1)
        ),
        right=("US", "FIRST BYTE US"),
    )
    print()


def _print_charge(title: str, charge: dict[str, Any]) -> None:
    tier = charge["above_prompt_tokens"]
    prices = "base prices" if tier < 0 else f"long-context prices (above {tier} prompt tokens)"
    factors = "".join(f" x {each['name']} {each['value']} {each['factor']}" for each in charge["modifiers"])
    factors = f"x {charge['multiplier']}{factors}"
    print(f"{title} {charge['payer']}: {charge['prompt_tokens']} prompt tokens, {prices}, {factors}")
    print_table(
        ("BUCKET", "COUNT", "USD PER MILLION", "PRICED AS", "NANO-USD"),
        (
            (line["bucket"], line["count"], line["price_usd_per_million"], line["priced_as"], line["exact_nanousd"])
            for line in charge["lines"]
        ),
        right=("COUNT", "USD PER MILLION", "NANO-USD"),
    )
    verdict = "as posted" if charge["agrees"] else "NOT as posted"
    print(
        f"sum {charge['exact_nanousd']}, rounded half up {charge['rounded_nanousd']},"
        f" posted {charge['posted_nanousd']} nano-USD = {charge['posted_usd']} USD: {verdict}"
    )


def _print_statement(answer: dict[str, Any]) -> None:
    print(f"{answer['account']}, {answer['month']}{'' if answer['is_over'] else ' (so far)'}")
    signs = (("opening", " "), ("credits", "+"), ("usage", "-"), ("adjustments", "+"), ("closing", "="))
    print_table(("", "", "USD"), ((sign, name, answer[name]["usd"]) for name, sign in signs), right=("USD",))
    if answer["usage_by_model"]:
        print_table(
            ("MODEL", "REQUESTS", "COST USD"),
            ((row["model"], row["requests"], row["cost"]["usd"]) for row in answer["usage_by_model"]),
            right=("REQUESTS", "COST USD"),
        )
    if answer["entries"]:
        print_table(
            ("CREATED", "KIND", "SOURCE", "REFERENCE", "USD", "NOTE"),
            (
                (row["created_at"], row["kind"], row["source"], row["reference"], row["amount"]["usd"], row["note"])
                for row in answer["entries"]
            ),
            right=("USD",),
        )
    if answer["difference"]["nanousd"]:
        print(f"it does NOT close: {answer['difference']['usd']} USD off")
