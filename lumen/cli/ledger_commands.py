"""`lumen ledger`: dead letters, rebuilt balances, a ledger restored from an older copy."""

from __future__ import annotations

from typing import Annotated

import typer

from lumen.cli.admin_client import AsJson, StateDir, find_api, segment
from lumen.cli.output import command, print_json, print_table

_TIMEOUT_S = 90.0


def register(app: typer.Typer) -> None:
    ledger = typer.Typer(help="The ledger itself: repairs that need an operator.", no_args_is_help=True)
    letters = typer.Typer(help="Entries recorded but not charged.", no_args_is_help=True)
    letters.command("list")(list_dead_letters)
    letters.command()(replay)
    ledger.add_typer(letters, name="dead-letter")
    ledger.command()(rebuild)
    ledger.command()(adopt)
    app.add_typer(ledger, name="ledger")


@command
def list_dead_letters(
    account: Annotated[str, typer.Option(help="Only this account's (id or name).")] = "",
    replayed: Annotated[bool, typer.Option("--replayed", help="Those already replayed too.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List entries that could not be decoded or rated, newest first."""
    answer = find_api(state_dir).get_all(
        "/ledger/dead-letters", "dead_letters", account=account, replayed="true" if replayed else None
    )
    if as_json:
        print_json(answer)
        return
    print_table(
        ("ID", "PUBLISHED", "ACCOUNT", "REQUEST", "REASON", "DETAIL", "REPLAYED"),
        (
            (
                *(letter["id"], letter["published_at"], letter["account"], letter["request_id"], letter["reason"]),
                *(letter["detail"][:80], letter["is_replayed"]),
            )
            for letter in answer["dead_letters"]
        ),
    )


@command
def replay(
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    revision: Annotated[int, typer.Option(min=0, help="Rate with this catalog revision [the entry's own].")] = 0,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Append a dead letter to the ledger; it happens once, however often it is asked for."""
    answer = find_api(state_dir).post(f"/ledger/dead-letters/{segment(letter)}/replay", {"catalog_revision": revision})
    if as_json:
        print_json(answer)
        return
    done = "was replayed before" if answer["already_existed"] else "replayed"
    print(f"{letter} {done}: {answer['entries']} entries")


@command
def rebuild(
    account: Annotated[str, typer.Option(help="Only this account's partition (id or name).")] = "",
    accept_trimmed: Annotated[
        bool, typer.Option("--accept-trimmed", help="Give up entries that were trimmed before they were posted.")
    ] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make the balances again from ClickHouse and the ledger. Exit code 5: partitions stopped and need a decision."""
    body = {"account": account, "accept_trimmed": accept_trimmed}
    answer = find_api(state_dir).post("/ledger/rebuild", body, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(answer)
        return
    print(f"{answer['partitions']} partitions rebuilt")
    if answer["accepted_partitions"]:
        print(f"run again although trimmed: {answer['accepted_partitions']}")


@command
def adopt(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Run partitions again that stopped because the ledger was replaced by an older copy. Restart the edges then."""
    answer = find_api(state_dir).post("/ledger/adopt", {"dry_run": dry_run}, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(answer)
        return
    if not answer["partitions"]:
        print("no partition has stopped for that reason")
        return
    print_table(
        ("PARTITION", "EPOCH", "POSTED UP TO", "GIVEN BACK", "TO BE POSTED"),
        (
            (row["partition"], row["epoch"], row["sequence"], row["batches_restored"], row["batches_unposted"])
            for row in answer["partitions"]
        ),
        right=("PARTITION", "EPOCH", "POSTED UP TO", "GIVEN BACK", "TO BE POSTED"),
    )
    print(
        "nothing was changed" if dry_run else "adopted; restart the edges: they stop when the ledger contradicts them"
    )
