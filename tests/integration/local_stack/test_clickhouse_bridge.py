"""An unmodified clickhouse-connect client, sync and async, against the bridge."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import pyarrow
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.fixtures.engines import ClickHouseServer


def connect(url: str, **options: object) -> Client:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return clickhouse_connect.get_client(host=parts.hostname, port=parts.port, **options)  # type: ignore[arg-type]


@pytest.fixture
def database(clickhouse_url: str) -> Iterator[str]:
    name = f"bridge_{secrets.token_hex(4)}"
    with connect(clickhouse_url) as client:
        client.command(f"CREATE DATABASE {name}")
        client.command(
            f"CREATE TABLE {name}.t (n UInt64, s String, at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY n"
        )
        yield name
        client.command(f"DROP DATABASE {name}")


@pytest.fixture(params=[False, True, "lz4", "zstd", "gzip"], ids=str)
def client(clickhouse_url: str, database: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    with connect(clickhouse_url, database=database, compress=request.param) as client:
        yield client


@pytest.fixture
async def async_client(clickhouse_url: str, database: str) -> AsyncIterator[AsyncClient]:
    parts = urlsplit(clickhouse_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with await clickhouse_connect.get_async_client(
        host=parts.hostname, port=parts.port, database=database, autogenerate_session_id=False
    ) as client:
        yield client


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
# Values whose bytes look like a statement's own text, and every byte there is.
ROWS = [(1, "it's\n\\t", NOON), (2, "\n FORMAT Native\n", NOON), (2**64 - 1, "ü" * 1000, NOON)]
READ_BACK = [(n, s, at.replace(tzinfo=None)) for n, s, at in ROWS]  # the client's default for a UTC column


def test_inserted_rows_are_read_back(client: Client) -> None:
    summary = client.insert("t", ROWS, column_names=["n", "s", "at"])
    assert summary.written_rows == 3
    assert client.query("SELECT n, s, at FROM t ORDER BY n").result_rows == READ_BACK


def test_many_rows_are_streamed_in_blocks(client: Client) -> None:
    total = 0
    blocks = 0
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as stream:
        for block in stream:
            blocks += 1
            total += sum(row[0] for row in block)
    assert total == 300000 * 299999 // 2
    assert blocks > 1


FAILS_LATE = "SELECT throwIf(number = 4000000, 'too far') FROM numbers(5000000) SETTINGS max_threads = 1"


def test_error_within_a_stream_is_raised_with_the_servers_words(client: Client) -> None:
    blocks: list[int] = []
    with client.query_row_block_stream(FAILS_LATE) as stream, pytest.raises(StreamFailureError, match="too far"):
        blocks.extend(len(block) for block in stream)
    assert len(blocks) > 1


def test_answer_may_come_deflated(clickhouse_url: str) -> None:
    with connect(clickhouse_url, compress="deflate") as client:  # a coding the client cannot send
        assert len(client.query("SELECT number FROM numbers(100000)").result_rows) == 100000


def test_large_insert_of_many_blocks_arrives_whole(client: Client) -> None:
    rows = [(n, "x" * 40, NOON) for n in range(150_000)]
    assert client.insert("t", rows, column_names=["n", "s", "at"]).written_rows == len(rows)
    assert client.command("SELECT sum(n) FROM t") == sum(range(150_000))


def test_parameters_are_bound_by_the_server(client: Client) -> None:
    client.insert("t", ROWS, column_names=["n", "s", "at"])
    found = client.query(
        "SELECT n FROM {table:Identifier} WHERE s = {s:String} AND n IN {ns:Array(UInt64)}",
        parameters={"table": "t", "s": ROWS[0][1], "ns": [1, 2]},
    )
    assert found.result_rows == [(1,)]


def test_parameters_too_long_for_a_url_travel_in_a_form(client: Client) -> None:
    long = "x'\\\n" * 20_000
    assert client.query("SELECT {a:String} = {b:String}", parameters={"a": long, "b": long}).result_rows == [(1,)]


def test_settings_end_with_their_request(client: Client) -> None:
    sql = "SELECT getSetting('max_block_size')"
    default = client.query(sql).result_rows
    assert client.query(sql, settings={"max_block_size": 77}).result_rows == [(77,)]
    assert client.query(sql).result_rows == default


def test_commands_answer_as_the_server_does(client: Client) -> None:
    assert client.command("SELECT count() FROM t") == 0
    assert client.command("INSERT INTO t VALUES (5, 'v; w', 0), (6, '', 0)") is not None
    assert client.command("SELECT groupArray(n) FROM t") == "[5,6]"
    assert client.command("EXISTS TABLE t") == 1
    assert client.command("INSERT INTO t (n) FORMAT CSV", data="7\n8\n") is not None
    client.command("INSERT INTO t SELECT n + 10, s, at FROM t WHERE n = {n:UInt64}", parameters={"n": 5})
    assert client.query("SELECT n FROM t ORDER BY n").result_rows == [(n,) for n in (5, 6, 7, 8, 15)]


def test_arrow_goes_in_and_out(client: Client) -> None:
    table = pyarrow.table({"n": pyarrow.array([1, 2], pyarrow.uint64()), "s": ["a", "b"]})
    client.insert_arrow("t", table)
    assert client.query_arrow("SELECT n, s FROM t ORDER BY n").column("n").to_pylist() == [1, 2]


def test_raw_query_keeps_the_format_asked_for(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS a, 'x' AS b", fmt="JSONEachRow") == b'{"a":1,"b":"x"}\n'
    document = client.raw_query("SELECT number FROM numbers(200000)", fmt="JSON")
    assert document.count(b'"meta"') == 1


def test_columns_of_an_empty_answer_are_known(client: Client) -> None:
    assert client.query("SELECT n, s FROM t LIMIT 0").column_names == ("n", "s")
    assert client.query("SELECT n, s FROM t").result_rows == []


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT nothing", 47, 404),
        ("SELECT * FROM nowhere", 60, 404),
        ("SELEC 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT 1 SETTINGS nonsense = 1", 115, 404),
        ("INSERT INTO t FORMAT Native\nabc", 33, 400),
    ],
)
def test_errors_are_typed(clickhouse_url: str, database: str, sql: str, code: int, status: int) -> None:
    answer = httpx.post(clickhouse_url.removesuffix("/default") + "/", params={"database": database}, content=sql)
    assert (int(answer.headers["x-clickhouse-exception-code"]), answer.status_code) == (code, status), answer.text
    with connect(clickhouse_url, database=database) as client, pytest.raises(DatabaseError) as raised:
        client.command(sql)
    assert raised.value.code == code


def test_get_reads_and_never_writes(clickhouse_url: str, database: str) -> None:
    root = clickhouse_url.removesuffix("/default")
    assert httpx.get(f"{root}/ping").text == "Ok.\n"
    assert httpx.get(f"{root}/readyz").json() == {"status": "ready"}
    assert httpx.get(root, params={"query": "SELECT 1"}).text == "1\n"
    refused = httpx.get(root, params={"query": f"DROP TABLE {database}.t"})
    assert refused.headers["x-clickhouse-exception-code"] == "164"


def test_unknown_database_is_an_error(clickhouse_url: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        connect(clickhouse_url, database="nowhere").query("SELECT 1")
    assert raised.value.code == 81


async def test_async_client_inserts_and_reads(async_client: AsyncClient) -> None:
    await async_client.insert("t", ROWS, column_names=["n", "s", "at"])
    assert (await async_client.query("SELECT n, s, at FROM t ORDER BY n")).result_rows == READ_BACK
    with pytest.raises(DatabaseError) as raised:
        await async_client.query("SELECT * FROM nowhere")
    assert raised.value.code == 60
    async with await async_client.query_row_block_stream(FAILS_LATE) as stream:
        with pytest.raises(StreamFailureError, match="too far"):
            async for _ in stream:
                pass


async def test_abandoned_stream_does_not_stop_others(async_client: AsyncClient) -> None:
    async with await async_client.query_rows_stream("SELECT number FROM numbers(50000000)") as stream:
        async for _ in stream:
            break
    assert (await async_client.query("SELECT 1")).result_rows == [(1,)]


def test_acknowledged_rows_survive_kill_9(new_clickhouse: Callable[[], ClickHouseServer]) -> None:
    server = new_clickhouse()
    with connect(server.url) as client:
        client.command("CREATE DATABASE lumen")
        client.command("CREATE TABLE lumen.t (n UInt64) ENGINE = ReplacingMergeTree ORDER BY n")
        for number in range(20):
            client.insert("t", [(number,)], column_names=["n"], database="lumen")
    server.restart()
    with connect(server.url, database="lumen") as client:
        assert client.command("SELECT count() FROM t") == 20
