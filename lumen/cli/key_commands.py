"""`lumen key`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lumen.cli.account_commands import LIMITS, Account
from lumen.cli.admin_client import AsJson, StateDir, find_api, segment
from lumen.cli.output import command, print_fields, print_json, print_table


def register(app: typer.Typer) -> None:
    key = typer.Typer(help="API keys.", no_args_is_help=True)
    key.command()(create)
    key.command("list")(list_keys)
    key.command()(revoke)
    app.add_typer(key, name="key")


@command
def create(
    account: Account,
    group: Annotated[str, typer.Option(help="A group of the catalog.")],
    name: Annotated[str, typer.Option()] = "",
    expires: Annotated[str, typer.Option(metavar="T", help="ISO time, or from now: 30d.")] = "",
    models: Annotated[str, typer.Option(metavar="A,B", help="Only these models (else all of the group).")] = "",
    ips: Annotated[str, typer.Option(metavar="CIDR,..", help="Only from these networks (else any).")] = "",
    spend_limit: Annotated[str, typer.Option(metavar="USD", help="What the key may spend in all.")] = "",
    rpm: Annotated[int | None, typer.Option(help="Requests per minute.", min=1)] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute.", min=1)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests in flight.", min=1)] = None,
    spend_day: Annotated[str, typer.Option(metavar="USD", help="What it may spend per day (UTC).")] = "",
    spend_month: Annotated[str, typer.Option(metavar="USD", help="What it may spend per month (UTC).")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. Its secret is shown once."""
    body: dict[str, Any] = {
        "account": account,
        "group": group,
        "name": name,
        "expires": expires or None,
        "models": _listed(models),
        "ips": _listed(ips),
        "spend_limit_usd": spend_limit or None,
        "rpm": rpm,
        "tpm": tpm,
    }
    more = {"concurrency": concurrency, "spend_day_usd": spend_day, "spend_month_usd": spend_month}
    body |= {field: value for field, value in more.items() if value}
    answer = find_api(state_dir).post("/keys", body)
    if as_json:
        print_json(answer)
        return
    _print_key(answer)
    print("The secret is not shown again.")


@command
def list_keys(
    account: Annotated[str, typer.Argument(help="The account's id or name (else all accounts).")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List keys, without their secrets."""
    answer = find_api(state_dir).get_all("/keys", "keys", account=account)
    if as_json:
        print_json(answer)
        return
    print_table(
        ("ID", "ACCOUNT", "GROUP", "NAME", "PREFIX", "STATE", "CREATED", "EXPIRES"),
        (
            (
                key["id"],
                key["account"],
                key["group"],
                key["name"],
                key["prefix"],
                "revoked" if key["revoked"] else "active",
                key["created_at"],
                key["expires_at"],
            )
            for key in answer["keys"]
        ),
    )


@command
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `lumen key list` shows it.")],
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good: every edge refuses it within a second."""
    answer = find_api(state_dir).post(f"/keys/{segment(key_id)}/revoke")
    if as_json:
        print_json(answer)
    else:
        print(f"revoked {answer['id']} ({answer['prefix']}...)")


def _print_key(key: dict[str, Any]) -> None:
    shown = ("id", "secret", "account", "group", "name", "expires_at", "models", "ips", "spend_limit_usd", *LIMITS)
    print_fields((name.replace("_", " "), key[name]) for name in shown)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
