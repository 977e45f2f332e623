"""`lumen account` and `lumen balance`."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import typer

from lumen.cli.admin_client import AsJson, CommandFailed, StateDir, find_api, segment
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_fields, print_json, print_table

Account = Annotated[str, typer.Argument(help="The account's id or name.")]

LIMITS = ("rpm", "tpm", "concurrency", "spend_day_usd", "spend_month_usd")


def register(app: typer.Typer) -> None:
    account = typer.Typer(help="Accounts and their credits.", no_args_is_help=True)
    account.command()(create)
    account.command("list")(list_accounts)
    account.command()(show)
    account.command()(suspend)
    account.command()(activate)
    account.command()(limit)
    # -5 is an amount, not an option
    account.command(context_settings={"ignore_unknown_options": True})(credit)
    app.add_typer(account, name="account")
    app.command()(balance)


@command
def create(
    name: Annotated[str, typer.Argument(help="Must not be taken.")], state_dir: StateDir = None, as_json: AsJson = False
) -> None:
    """Create an account. Exit code 5: the name is taken."""
    _print_account(find_api(state_dir).post("/accounts", {"name": name}), as_json)


@command
def list_accounts(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List all accounts."""
    answer = find_api(state_dir).get_all("/accounts", "accounts")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("ID", "NAME", "STATUS", "CREATED"),
        ((row["id"], row["name"], row["status"], row["created_at"]) for row in answer["accounts"]),
    )


@command
def show(account: Account, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Show one account."""
    _print_account(find_api(state_dir).get(f"/accounts/{segment(account)}"), as_json)


@command
def suspend(account: Account, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Refuse the account's keys from now on; nothing is lost."""
    _print_account(find_api(state_dir).post(f"/accounts/{segment(account)}/status", {"status": "suspended"}), as_json)


@command
def activate(account: Account, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Let a suspended account's keys in again."""
    _print_account(find_api(state_dir).post(f"/accounts/{segment(account)}/status", {"status": "active"}), as_json)


@command
def limit(
    account: Account,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute; 0: no limit.", min=0)] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute; 0: no limit.", min=0)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests in flight; 0: no limit.", min=0)] = None,
    spend_day: Annotated[str, typer.Option(metavar="USD", help="Per day (UTC); 0: no limit.")] = "",
    spend_month: Annotated[str, typer.Option(metavar="USD", help="Per month (UTC); 0: no limit.")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Limit all keys of an account together. What is not said stays as it is."""
    said = {
        "rpm": rpm,
        "tpm": tpm,
        "concurrency": concurrency,
        "spend_day_usd": spend_day or None,
        "spend_month_usd": spend_month or None,
    }
    body = {name: None if value in (0, "0") else value for name, value in said.items() if value is not None}
    _print_account(find_api(state_dir).post(f"/accounts/{segment(account)}/limits", body), as_json)


@command
def credit(
    account: Account,
    amount_usd: Annotated[str, typer.Argument(help="A decimal such as 12.50, or -5 (refund, adjustment).")],
    kind: Annotated[str, typer.Option(help="topup, grant, refund or adjustment.")] = "topup",
    reference: Annotated[str, typer.Option(metavar="KEY", help="Repeating a reference returns the first entry.")] = "",
    paid: Annotated[
        tuple[str, str] | None, typer.Option(metavar="AMOUNT CURRENCY", help="What the payer paid, for the books.")
    ] = None,
    note: Annotated[str, typer.Option()] = "",
    expires: Annotated[str, typer.Option(help="What is left then is taken back. ISO time, or from now: 30d.")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an account credits, or take some.

    A topup or grant is positive. A refund or adjustment moves the balance by what you say: negative when money goes
    back to the payer, positive when credits go back to the account.
    """
    # Made here, so that a call whose answer was lost can be repeated without paying twice.
    used_reference = reference or f"cli-{secrets.token_hex(16)}"
    body: dict[str, Any] = {"amount_usd": amount_usd, "kind": kind, "reference": used_reference, "note": note}
    if paid is not None:
        body["paid"] = {"amount": paid[0], "currency": paid[1]}
    if expires:
        body["expires"] = expires
    try:
        answer = find_api(state_dir).post(f"/accounts/{segment(account)}/credits", body)
    except CommandFailed as error:
        if error.exit_code is ExitCode.UNREACHABLE:
            raise CommandFailed(
                f"{error}\nto try again and count it once: --reference {used_reference}", error.exit_code
            ) from error
        raise
    if as_json:
        print_json(answer)
        return
    prefix = "already posted: " if answer["already_existed"] else ""
    print(f"{prefix}{answer['kind']} of {answer['amount_usd']} USD, reference {answer['reference']}")


@command
def balance(account: Account, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Show what an account has left: credits minus posted usage. Usage burns grants first, by earliest expiry."""
    answer = find_api(state_dir).get(f"/accounts/{segment(account)}/balance")
    if as_json:
        print_json(answer)
        return
    expiry = answer["next_expiry"]
    grants = "unknown, ClickHouse is away" if answer["grants_usd"] is None else f"{answer['grants_usd']} USD"
    print_fields(
        (
            ("account", answer["account"]),
            ("balance", f"{answer['balance_usd']} USD"),
            ("reserved", f"{answer['reserved_usd']} USD"),
            ("available", f"{answer['available_usd']} USD"),
            ("grants", grants),
            ("expires", f"{expiry['usd']} USD at {expiry['at']}" if expiry else "none"),
        )
    )
    if not answer["is_live"]:
        print("billing is still catching up with the ledger")


def _print_account(account: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        limits = account.get("limits") or {}
        print_fields(
            [(name.replace("_at", ""), value) for name, value in account.items() if name != "limits"]
            + [(name.replace("_", " "), limits.get(name)) for name in LIMITS]
        )
