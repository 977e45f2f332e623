"""`lumen user`: who may sign in to the console."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lumen.cli.admin_client import AsJson, CommandFailed, StateDir, find_api, segment
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_fields, print_json, print_table

User = Annotated[str, typer.Argument(help="The user's id or e-mail.")]


def register(app: typer.Typer) -> None:
    user = typer.Typer(help="People who sign in to the console.", no_args_is_help=True)
    user.command()(create)
    user.command("list")(list_users)
    user.command()(invite)
    user.command()(disable)
    user.command()(enable)
    app.add_typer(user, name="user")


@command
def create(
    email: Annotated[str, typer.Argument()],
    role: Annotated[str, typer.Option(help="member (of an account), finance or operator.")],
    account: Annotated[str, typer.Option(help="A member's account, id or name.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password from stdin (else an invitation is made).")
    ] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a user and print the one-time invitation link. Exit code 5: the e-mail is taken."""
    body: dict[str, Any] = {"email": email, "role": role, "account": account}
    if password_stdin:
        body["password"] = sys.stdin.readline().rstrip("\n")
        if not body["password"]:
            raise CommandFailed("no password on stdin", ExitCode.INVALID_INPUT)
    _print_user(find_api(state_dir).post("/users", body), as_json)


@command
def list_users(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List all users."""
    answer = find_api(state_dir).get("/users")
    if as_json:
        print_json(answer)
        return
    names = ("id", "email", "role", "account", "status", "created_at")
    print_table(
        ("ID", "E-MAIL", "ROLE", "ACCOUNT", "STATUS", "CREATED"),
        ([row[name] for name in names] for row in answer["users"]),
    )


@command
def invite(user: User, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Make a new invitation link: for one that expired, or a password that was forgotten."""
    _print_user(find_api(state_dir).post(f"/users/{segment(user)}/invite"), as_json)


@command
def disable(user: User, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """End a user's sessions and let them in no more."""
    _print_user(find_api(state_dir).post(f"/users/{segment(user)}/status", {"status": "disabled"}), as_json)


@command
def enable(user: User, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Let a disabled user in again."""
    _print_user(find_api(state_dir).post(f"/users/{segment(user)}/status", {"status": "active"}), as_json)


def _print_user(user: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(user)
        return
    print_fields((name.replace("_at", "").replace("_", " "), value) for name, value in user.items())
    if user.get("invitation_url"):
        print("The link is not shown again.")
