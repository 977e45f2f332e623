"""Liabilities by SQL and the pots that decide what expires: one rule, on random histories of many accounts."""

from __future__ import annotations

import random
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from lumen.ledger import keyspace
from lumen.money.pots import EXPIRY_KIND, GRANT, PAID, Pots, expiry_reference
from lumen.platform.clickhouse import ClickHouse
from services.billing.burning import Burning
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.health import Health
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics
from services.billing.migrations import load_migrations, migrate
from services.billing.rollups import Rollups
from services.console.finance.liabilities import Liabilities, Open
from services.console.finance.queries import FinanceQueries

ACCOUNTS, EVENTS_MAX, DAYS = 200, 40, 60
START_S = 1_767_225_600  # 2026-01-01
DAY_S = 86_400
ENDLESS_S = 4_000_000_000


@dataclass(frozen=True)
class Event:
    """`written_s` orders the ledger; a request began at `at_s`, up to hours before it was written."""

    written_s: int
    at_s: int
    amount: int  # of a charge: above zero
    kind: str = "usage"
    source: str = PAID
    expires_at_s: int = 0
    reference: str = ""


def history(draw: random.Random) -> list[Event]:
    """One account's events in the ledger's order, with every expiry as billing posts it: what the pots then held."""
    events: list[Event] = []
    for _ in range(draw.randint(1, EVENTS_MAX)):
        written_s = START_S + draw.randrange(DAYS * DAY_S)
        amount = draw.randint(1, 100)
        match draw.choice(
            ("charge", "charge", "charge", "topup", "grant", "grant", "refund", "adjustment", "paid_back")
        ):
            case "charge":
                late_s = draw.choice((0, 5, 4_000, 3 * DAY_S))
                events.append(Event(written_s, max(START_S, written_s - late_s), amount))
            case "topup":
                expires_at_s = draw.choice((0, 0, written_s + draw.randrange(20 * DAY_S)))
                events.append(Event(written_s, written_s, 2 * amount, "topup", PAID, expires_at_s))
            case "grant":
                expires_at_s = draw.choice((0, written_s + draw.randrange(20 * DAY_S), ENDLESS_S))
                events.append(Event(written_s, written_s, 2 * amount, "grant", GRANT, expires_at_s))
            case "paid_back":
                events.append(Event(written_s, written_s, amount, "refund"))
            case kind:
                events.append(Event(written_s, written_s, -amount, kind, draw.choice((PAID, GRANT))))
    return sorted(events, key=lambda event: event.written_s)


class Books:
    """Positions as the ledger gives them; expiries are inserted as soon as they are due."""

    def __init__(self) -> None:
        self.placed: dict[str, list[tuple[int, Event]]] = defaultdict(list)
        self._sequence: dict[int, int] = defaultdict(int)
        self._pots: dict[str, Pots] = defaultdict(Pots)

    def write(self, account: str, event: Event) -> None:
        pots = self._pots[account]
        for pot in pots.due(event.written_s):
            self._post(account, Event(
                pot.expires_at_s, pot.expires_at_s, -pot.left_nanousd, EXPIRY_KIND, pot.source, pot.expires_at_s,
                pot.reference,
            ))  # fmt: skip
        self._post(account, event)

    def _post(self, account: str, event: Event) -> None:
        partition = keyspace.partition_of(account)
        self._sequence[partition] += 1
        sequence = self._sequence[partition]
        fold(self._pots[account], partition, sequence, event)
        self.placed[account].append((sequence, event))

    @property
    def marks(self) -> dict[int, Mark]:
        return {partition: Mark(1, sequence, "") for partition, sequence in self._sequence.items()}

    def pots_before(self, account: str, until_s: int) -> Pots:
        pots = Pots()
        for sequence, event in self.placed[account]:
            if event.at_s < until_s:
                fold(pots, keyspace.partition_of(account), sequence, event)
        return pots


def fold(pots: Pots, partition: int, sequence: int, event: Event) -> None:
    if event.kind == "usage":
        pots.charge(event.amount)
    else:
        name = event.reference or expiry_reference(1, partition, sequence, 0)
        pots.credit(name, event.amount, event.kind, event.source, event.expires_at_s)


@pytest.fixture
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    database = ClickHouse(clickhouse_url.rsplit("/", 1)[0] + f"/credits_{secrets.token_hex(4)}")
    server = ClickHouse(clickhouse_url, use_database=False)
    await migrate(server, database, load_migrations())
    try:
        yield database
        await server.command(f"DROP DATABASE `{database.database}`")
        await server.command(f"DROP DATABASE `{database.database}_finance`")
    finally:
        await database.close()
        await server.close()


async def store(clickhouse: ClickHouse, books: Books) -> None:
    """As rows and rollups."""
    credits_, usage = [], []
    for account, placed in books.placed.items():
        partition = keyspace.partition_of(account)
        for sequence, event in placed:
            row = (partition, 1, sequence, 0, account, event.at_s * 1_000_000)
            if event.kind == "usage":
                usage.append((*row, f"key of {account}", event.amount, True))
            else:
                reference = event.reference or f"r{sequence}"
                credits_.append((*row, event.amount, event.kind, event.source, reference, event.expires_at_s))
    place = {"partition": "UInt8", "epoch": "UInt32", "sequence": "UInt64", "index": "UInt32", "account": "String"}
    money = {"amount_nanousd": "Int64", "kind": "String", "source": "String", "reference": "String"}
    for table, columns, rows in (
        ("credits", {**place, "created_at_us": "Int64", **money, "expires_at_s": "Int64"}, credits_),
        ("usage", {**place, "started_at_us": "Int64", "key_id": "String", "cost_nanousd": "Int64",
                   "is_billable": "Bool"}, usage),
    ):  # fmt: skip
        await clickhouse.insert(table, list(zip(*rows, strict=True)), tuple(columns), tuple(columns.values()))
    metrics = BillingMetrics(CollectorRegistry())
    rollups = Rollups(clickhouse, ClickHouseSink(clickhouse), metrics, Health())
    rollups.mark_due({(row[0], row[5] // 3_600_000_000) for row in usage}, {})
    await rollups.flush()


async def liabilities(clickhouse: ClickHouse, until_s: int) -> dict[str, Open]:
    totals, rows = await Liabilities(FinanceQueries(clickhouse)).page(until_s * 1_000_000, "", 10 * ACCOUNTS)
    assert totals.accounts == len(rows)
    assert totals.grants_open == sum(row.grants_open for row in rows)
    assert totals.paid_open - totals.overdrawn == sum(row.paid_open for row in rows)
    return {row.account: row for row in rows}


async def test_liabilities_are_what_the_pots_hold_on_random_histories(clickhouse: ClickHouse) -> None:
    draw = random.Random(20)
    books = Books()
    written = [(event, f"a{number}") for number in range(ACCOUNTS) for event in history(draw)]
    for event, account in sorted(written, key=lambda pair: pair[0].written_s):
        books.write(account, event)
    await store(clickhouse, books)

    found = await liabilities(clickhouse, START_S + 2 * DAYS * DAY_S)
    by_billing: dict[str, Pots] = {}
    for account in books.placed:
        partition = keyspace.partition_of(account)
        by_billing |= await Burning(clickhouse).pots({partition: books.marks[partition]}, [account])
    assert found.keys() == by_billing.keys()
    for account, pots in by_billing.items():
        assert not pots.wrong_expiries
        told = found[account]
        assert (told.balance, told.grants_open) == (pots.balance_nanousd, pots.grants_nanousd), account
    assert sum(row.grants_open > 0 for row in found.values()) > ACCOUNTS / 10
    assert sum(row.paid_open < 0 for row in found.values()) > ACCOUNTS / 10

    database = f"{clickhouse.database}_finance"
    viewed = await clickhouse.rows(
        f"SELECT account, toInt128(balance_usd * 1000000000), toInt128(grants_open_usd * 1000000000) FROM"
        f" `{database}`.liabilities"
    )
    assert {row[0]: row[1:] for row in viewed} == {
        account: (row.balance, row.grants_open) for account, row in found.items()
    }


async def test_liabilities_as_of_a_day_are_what_the_pots_held_of_what_was_made_before_it(
    clickhouse: ClickHouse,
) -> None:
    draw = random.Random(5)
    books = Books()
    written = [(event, f"a{number}") for number in range(ACCOUNTS) for event in history(draw)]
    for event, account in sorted(written, key=lambda pair: pair[0].written_s):
        books.write(account, event)
    await store(clickhouse, books)
    for day in (1, 17, 40):
        until_s = START_S + day * DAY_S
        found = await liabilities(clickhouse, until_s)
        for account in books.placed:
            pots = books.pots_before(account, until_s)
            told = found.get(account, Open(account, 0, 0, 0))
            assert (told.balance, told.grants_open) == (pots.balance_nanousd, pots.grants_nanousd), (day, account)
