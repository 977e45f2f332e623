"""`lumen token`: scoped tokens of the admin API, for programs that shall not have the root token."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lumen.cli.admin_client import AsJson, StateDir, find_api, segment
from lumen.cli.output import command, print_fields, print_json, print_table


class Scope(StrEnum):
    READ_ONLY = "read_only"
    FINANCE = "finance"
    KEYS = "keys"
    FULL = "full"


def register(app: typer.Typer) -> None:
    tokens = typer.Typer(help="Tokens of the admin API.", no_args_is_help=True)
    tokens.command()(create)
    tokens.command("list")(list_tokens)
    tokens.command()(revoke)
    app.add_typer(tokens, name="token")


@command
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[Scope, typer.Option(help="read_only, finance (and credits), keys, or full.")] = Scope.READ_ONLY,
    expires: Annotated[str, typer.Option(help="ISO date or time (UTC), or in how long: 30d.")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; its secret is printed once. Use it as LUMEN_ADMIN_TOKEN."""
    body = {"name": name, "scope": scope.value, **({"expires": expires} if expires else {})}
    answer = find_api(state_dir).post("/tokens", body)
    if as_json:
        print_json(answer)
    else:
        print_fields([(field, answer[field]) for field in ("id", "name", "scope", "expires_at", "secret")])


@command
def list_tokens(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List tokens, without their secrets."""
    answer = find_api(state_dir).get_all("/tokens", "tokens")
    if as_json:
        print_json(answer)
        return
    fields = ("id", "name", "scope", "prefix", "created_at", "created_by", "expires_at", "revoked_at")
    print_table(
        [field.removesuffix("_at").replace("_", " ").upper() for field in fields],
        ([token[field] for field in fields] for token in answer["tokens"]),
    )


@command
def revoke(
    token: Annotated[str, typer.Argument(help="The token's id.")], state_dir: StateDir = None, as_json: AsJson = False
) -> None:
    """Refuse a token from now on, for good."""
    answer = find_api(state_dir).post(f"/tokens/{segment(token)}/revoke")
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['id']} is revoked since {answer['revoked_at']}")
