"""Marks as text, migrations as statements, ClickHouse addresses, Redis figures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.platform.clickhouse import ClickHouseAddress, parse_url
from services.billing.balances import figures_of
from services.billing.marks import START, Mark, parse_mark, position_version
from services.billing.migrations import Migration, load_migrations


@given(st.integers(1, 99), st.integers(0, 1 << 47), st.text("0123456789abcdef", max_size=16))
def test_a_mark_survives_its_text(epoch: int, sequence: int, digest: str) -> None:
    mark = Mark(epoch, sequence, digest)
    assert parse_mark(str(mark)) == mark
    assert parse_mark(str(mark).encode()) == mark


@pytest.mark.parametrize("text", [None, b"", "rebuild:0123", "1:x:aa", "1:2", "1:2:3:4", "-1:2:aa", b"\xff"])
def test_what_is_no_mark_is_none(text: bytes | str | None) -> None:
    assert parse_mark(text) is None


def test_the_start_mark_reads_as_the_design_says() -> None:
    assert str(START) == "1:0:"


def test_a_later_epoch_is_after_any_sequence() -> None:
    assert position_version(2, 0) > position_version(1, (1 << 48) - 1)


def test_migrations_are_numbered_and_every_statement_can_be_repeated() -> None:
    migrations = load_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    for migration in migrations:
        for statement in migration.statements(engine="Replicated", on_cluster="ON CLUSTER `lumen`"):
            assert any(words in statement for words in ("IF NOT EXISTS", "OR REPLACE", "MODIFY SETTING"))
            assert "ON CLUSTER `lumen`" in statement
            has_no_engine = statement.startswith(
                ("CREATE VIEW", "CREATE OR REPLACE VIEW", "CREATE DATABASE", "ALTER TABLE")
            )
            assert has_no_engine or "ENGINE = ReplicatedReplacingMergeTree(" in statement
            assert not re.search(r"\{(?!until_us:Int64\})", statement)  # the one parameter of a view


def test_finance_views_lie_beside_their_database_and_read_with_their_creators_rights() -> None:
    [migration] = [migration for migration in load_migrations() if migration.name == "finance"]
    created, *others = migration.statements(engine="", on_cluster="", database="staging")
    views = [statement for statement in others if statement.startswith("CREATE VIEW")]
    assert created.startswith("CREATE DATABASE IF NOT EXISTS `staging_finance`")
    assert all("`staging_finance`." in view and "SQL SECURITY DEFINER" in view for view in views)
    assert all("`staging`." in view for view in views)
    assert "`finance`.revenue_daily" in migration.statements(engine="", on_cluster="", database="lumen")[1]


def test_comments_and_semicolons_inside_lines_are_not_statements() -> None:
    migration = Migration(1, "x", "-- one; two\nCREATE a\n(\n  b String\n);\n\nCREATE c;\n")
    assert migration.statements(engine="", on_cluster="") == ["CREATE a\n(\n  b String\n)", "CREATE c"]


def test_a_clickhouse_url_is_taken_apart() -> None:
    assert parse_url("http://me:p%40ss@db:8123/lumen") == ClickHouseAddress("db", 8123, "me", "p@ss", "lumen", False)
    assert parse_url("https://db") == ClickHouseAddress("db", 8443, "default", "", "default", True)
    with pytest.raises(ValueError, match="looks like"):
        parse_url("db:8123")


def test_reserved_is_what_is_granted_and_neither_released_nor_posted() -> None:
    figures = figures_of(
        {b"balance": b"1000", b"g:w.1": b"500", b"r:w.1": b"100", b"p:w.1": b"150", b"p:w.2": b"80", b"g:w.3": b"5"},
        "balance",
    )
    assert figures.main == 1000
    assert {lease: book.reserved for lease, book in figures.leases.items()} == {"w.1": 250, "w.2": 0, "w.3": 5}
    assert figures.reserved == 255
