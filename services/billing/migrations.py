"""Brings ClickHouse to the schema of `deploy/clickhouse/`: numbered files, each applied once, in order.

Placeholders: `{engine}` is empty, or `Replicated` in a cluster (replica path and name are the server's defaults);
`{on_cluster}` is empty, or `ON CLUSTER <name>`; `{database}` is ours, `{finance}` the one of finance's views. Every
statement is IF NOT EXISTS or otherwise repeatable, so two processes that start together, or one that died half way, do
no harm.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from lumen.platform.clickhouse import ClickHouse

logger = logging.getLogger(__name__)

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str

    def statements(self, *, engine: str, on_cluster: str, database: str = "lumen") -> list[str]:
        """One statement per `;` at a line's end, comments removed."""
        lines = [line for line in self.text.splitlines() if not line.lstrip().startswith("--")]
        filled = "\n".join(lines).replace("{engine}", engine).replace("{on_cluster}", on_cluster)
        filled = filled.replace("{database}", f"`{database}`").replace("{finance}", f"`{finance_database(database)}`")
        return [statement.strip() for statement in re.split(r";\s*(?:\n|$)", filled) if statement.strip()]


def finance_database(database: str) -> str:
    """Of the views that finance reads by SQL; two Lumens on one server must not share them."""
    return "finance" if database == "lumen" else f"{database}_finance"


def load_migrations() -> list[Migration]:
    """All migrations in order. Raises ValueError when numbers are not 1, 2, 3 ..."""
    found: list[Migration] = []
    for file in (resources.files("deploy") / "clickhouse").iterdir():
        match = _FILE_NAME.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], file.read_text()))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("deploy/clickhouse: migrations must be numbered 0001, 0002, ... without a gap")
    return found


async def migrate(
    server: ClickHouse, database: ClickHouse, migrations: Sequence[Migration], *, engine: str = "", cluster: str = ""
) -> list[int]:
    """Create the database through `server` (not bound to it) and apply what is missing; the numbers applied.

    Raises ClickHouseError.
    """
    on_cluster = f"ON CLUSTER `{cluster}`" if cluster else ""
    await server.command(f"CREATE DATABASE IF NOT EXISTS `{database.database}` {on_cluster}")
    await database.command(
        f"CREATE TABLE IF NOT EXISTS schema_migrations {on_cluster} (number UInt32, name String,"
        f" applied_at DateTime DEFAULT now()) ENGINE = {engine}ReplacingMergeTree() ORDER BY number"
    )
    done = {row[0] for row in await database.rows("SELECT DISTINCT number FROM schema_migrations")}
    applied: list[int] = []
    for migration in migrations:
        if migration.number in done:
            continue
        for statement in migration.statements(engine=engine, on_cluster=on_cluster, database=database.database):
            await database.command(statement)
        await database.insert(
            "schema_migrations", [[migration.number], [migration.name]], ("number", "name"), ("UInt32", "String")
        )
        applied.append(migration.number)
        logger.info("migration applied", extra={"number": migration.number, "migration": migration.name})
    return applied
