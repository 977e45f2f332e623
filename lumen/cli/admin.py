"""The operator's commands, as clients of the admin REST API (`services/console`)."""

from __future__ import annotations

import typer

from lumen.cli import (
    account_commands,
    backup_commands,
    catalog_commands,
    export_commands,
    key_commands,
    ledger_commands,
    money_commands,
    route_commands,
    token_commands,
    usage_commands,
    user_commands,
)

_MODULES = (
    catalog_commands,
    account_commands,
    key_commands,
    user_commands,
    route_commands,
    usage_commands,
    money_commands,
    ledger_commands,
    export_commands,
    token_commands,
    backup_commands,
)


def register(app: typer.Typer) -> None:
    for module in _MODULES:
        module.register(app)
