"""Where a statement's text ends and its data begins."""

from __future__ import annotations

import pytest

from deploy.local.clickhouse_bridge.errors import EngineError, decode_error
from deploy.local.clickhouse_bridge.statement import InsertData, PlainStatement, parse_statement


@pytest.mark.parametrize(
    ("text", "header", "format_name", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\xff", "INSERT INTO t ", "Native", b"\x01\xff"),
        (b"INSERT INTO t (a, `format`) FORMAT Native\r\nx", "INSERT INTO t (a, `format`) ", "Native", b"x"),
        # exactly one newline: the next is data (Native data may well begin with the byte 10)
        (b"insert into t format Native\n\n\x01", "insert into t ", "Native", b"\n\x01"),
        (b"INSERT INTO t FORMAT CSV 1,2\n", "INSERT INTO t ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV;\n1", "INSERT INTO t ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV", "INSERT INTO t ", "CSV", b""),
        (
            b"/* FORMAT x */ INSERT INTO `FORMAT` -- FORMAT y\n SETTINGS a = 'FORMAT z' FORMAT JSONEachRow\n{}",
            "/* FORMAT x */ INSERT INTO `FORMAT` -- FORMAT y\n SETTINGS a = 'FORMAT z' ",
            "JSONEachRow",
            b"{}",
        ),
    ],
)
def test_insert_is_cut_behind_its_format(text: bytes, header: str, format_name: str, data: bytes) -> None:
    assert parse_statement(text) == InsertData(header, format_name, data)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1, 'FORMAT Native\n')",
        "INSERT INTO t (a) VALUES (1)",
        "INSERT INTO t SELECT 1 FORMAT Native",
        "INSERT INTO t (a) WITH 1 AS x SELECT x",
        "INSERT INTO t FROM INFILE 'f' FORMAT CSV",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
    ],
)
def test_statement_with_its_data_in_its_text_stays_whole(text: str) -> None:
    assert parse_statement(text.encode()) == PlainStatement(text, None, False)


@pytest.mark.parametrize(
    ("text", "format_name", "is_streamable"),
    [
        ("SELECT 1", None, True),
        ("  with 1 as x select x\n FORMAT Native", "NATIVE", True),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT JSON SETTINGS max_threads = 1", "JSON", False),
        ("SELECT formatReadableSize(1), format('{}', 1) FORMAT CSV", "CSV", True),
        ("SELECT 1 FORMAT ArrowStream", "ARROWSTREAM", False),
        ("SHOW TABLES FORMAT Native", "NATIVE", False),
    ],
)
def test_only_selects_in_formats_without_head_and_foot_are_streamed(
    text: str, format_name: str | None, is_streamable: bool
) -> None:
    statement = parse_statement(text.encode())
    assert isinstance(statement, PlainStatement)
    assert (statement.format or "").upper() == (format_name or "")
    assert statement.is_streamable("TabSeparated") is is_streamable


def test_statement_that_is_not_text_is_refused() -> None:
    with pytest.raises(EngineError, match="not UTF-8"):
        parse_statement(b"SELECT '\xff'")


def test_engine_errors_keep_code_and_words() -> None:
    error = decode_error(RuntimeError("Streaming failed: Code: 60. DB::Exception: no such table. (UNKNOWN_TABLE)"))
    assert (error.code, error.http_status) == (60, 404)
    assert error.message == "Code: 60. DB::Exception: no such table. (UNKNOWN_TABLE)"
    assert decode_error(RuntimeError("lost")).code == 1001
