"""`lumen route`."""

from __future__ import annotations

from typing import Annotated

import typer

from lumen.cli.admin_client import AsJson, StateDir, find_api
from lumen.cli.output import command, print_json, print_table


def register(app: typer.Typer) -> None:
    route = typer.Typer(help="Where requests go, and why.", no_args_is_help=True)
    route.callback()(lambda: None)
    route.command()(explain)
    app.add_typer(route, name="route")


@command
def explain(
    key: Annotated[str, typer.Option(help="A key's id, or its secret.")],
    model: Annotated[str, typer.Option(help="A code or an alias.")],
    text: Annotated[str, typer.Option(help="A conversation's first user text: shows where it belongs.")] = "",
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List, for each edge, every candidate and why it is or is not chosen."""
    answer = find_api(state_dir).post("/route/explain", {"key": key, "model": model, "text": text})
    if as_json:
        print_json(answer)
        return
    print(f"group {answer['group']}, account {answer['account']}")
    if answer["refusal"]:
        print(f"refused: {answer['refusal']}")
    if not answer["edges"]:
        print("no edge is connected")
    for edge in answer["edges"]:
        print(f"\nedge {edge['edge']}, catalog revision {edge['catalog_revision']}")
        if edge["problem"]:
            print(edge["problem"])
            continue
        print_table(
            ("", "CHANNEL", "MODEL", "PRIORITY", "WEIGHT", "IN FLIGHT", "REASON"),
            (
                (
                    "*" if each["is_chosen"] else " ",
                    each["channel"],
                    each["model"],
                    each["priority"],
                    each["weight"],
                    each["in_flight"],
                    each["reason"],
                )
                for each in edge["candidates"]
            ),
            right=("PRIORITY", "WEIGHT", "IN FLIGHT"),
        )
