"""Finance at size: five million usage rows, what every question costs, and exports of all of them.

`python -m tests.load.finance [--rows 5000000] [--json FILE]`. A control plane of its own on real engines; rows go
straight into ClickHouse, as billing would have written them (a quarter of a year, few accounts with most of the use),
with rollups as billing computes them. Each question is asked of the console over HTTP, five times; the slowest counts:
the admin API's, then whole pages as people of each role see them. Each export is read to its end and thrown away while
the resident memory of console and ClickHouse is sampled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.console.people import Person
from tests.integration.console.stack import Stack, running_stack
from tests.load.finance_rows import ACCOUNTS, CATALOG, CREDITS, DAY_AFTER, DAYS, FIRST_DAY, ROLLUP_DAYS, ROLLUPS, ROWS

GOAL_S = 1.0
_ASKED_TIMES = 5
_KEYS = 200  # as many as an operator's list shows
_MONTH = f"{DAYS[45]:%Y-%m}"  # a whole one
_PART_ROWS = 250_000
_WINDOW = {"since": FIRST_DAY, "until": DAY_AFTER}
_SAMPLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Asked:
    name: str
    path: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds of one HTTP call to the console, of several."""

    name: str
    median_s: float
    slowest_s: float


@dataclass(frozen=True, slots=True)
class Exported:
    """`peak_mb` and `before_mb`: resident memory by process."""

    name: str
    rows: int
    megabytes: float
    seconds: float
    before_mb: Mapping[str, float]
    peak_mb: Mapping[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.finance", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="lumen-finance-bench-") as directory,
        running_stack(Path(directory)) as stack,
        stack.client() as client,
    ):
        accounts = prepare(stack, client, options.rows)
        answered = [ask(client, asked) for asked in questions(accounts[0])]
        print_answered("QUESTION", answered)
        viewed: list[Answered] = []
        for role, pages in pages_of(accounts[0]).items():
            person = Person(stack, role, accounts[0] if role == "member" else "")
            viewed += [ask(person.client, page) for page in pages]
            person.client.close()
        print()
        print_answered("PAGE", viewed)
        exported: list[Exported] = []
        for name in ("usage", "focus"):
            as_csv = export(stack, client, name, "csv")
            as_parquet = replace(export(stack, client, name, "parquet"), rows=as_csv.rows)  # the same rows
            exported += [as_csv, as_parquet]
    print()
    print_table(
        ("EXPORT", "ROWS", "MB", "SECONDS", "ROWS/S", "CONSOLE MB (PEAK)", "CLICKHOUSE MB (PEAK)"),
        [
            (
                *(each.name, f"{each.rows:,}", f"{each.megabytes:,.0f}", f"{each.seconds:.1f}"),
                f"{each.rows / each.seconds:,.0f}",
                *(f"{each.before_mb[of]:.0f} ({each.peak_mb[of]:.0f})" for of in ("console", "clickhouse")),
            )
            for each in exported
        ],
    )
    if options.json is not None:
        document = {
            "questions": list(map(asdict, answered)),
            "pages": list(map(asdict, viewed)),
            "exports": list(map(asdict, exported)),
        }
        options.json.write_text(json.dumps(document, indent=2))
    return 0 if all(each.slowest_s < GOAL_S for each in answered + viewed) else 1


def prepare(stack: Stack, client: httpx.Client, rows: int) -> list[str]:
    """Accounts in auth, rows and rollups in ClickHouse; the accounts' ids, the busiest first."""
    client.post("/admin/v1/catalog", json={"content": CATALOG}).raise_for_status()
    accounts = [
        str(client.post("/admin/v1/accounts", json={"name": f"customer-{n}"}).raise_for_status().json()["id"])
        for n in range(ACCOUNTS)
    ]
    for account in accounts[:_KEYS]:
        client.post("/admin/v1/keys", json={"account": account, "group": "default"}).raise_for_status()
    listed = f"[{','.join(repr(account) for account in accounts)}]"
    started = time.monotonic()
    for first in range(0, rows, _PART_ROWS):
        count = str(min(_PART_ROWS, rows - first))
        run(stack, ROWS, accounts=listed, first=str(first), count=count)
    for day in DAYS[::ROLLUP_DAYS]:
        run(stack, ROLLUPS, first=str(day))
    for table in ("usage", "usage_hourly"):  # as `min_age_to_force_merge_seconds` leaves the months that are over
        for month in sorted({f"{day:%Y%m}" for day in DAYS} - {f"{DAYS[-1] + timedelta(days=1):%Y%m}"}):
            run(stack, f"OPTIMIZE TABLE {table} PARTITION {month} FINAL")
    run(stack, CREDITS, accounts=listed)
    counts = run(stack, "SELECT (SELECT count() FROM usage), (SELECT count() FROM usage_hourly)").split()
    print(f"{int(counts[0]):,} rows and {int(counts[1]):,} rollups in {time.monotonic() - started:.0f} s\n", flush=True)
    return accounts


def run(stack: Stack, sql: str, **parameters: str) -> str:
    url, _, database = stack.env["LUMEN_CLICKHOUSE_URL"].rpartition("/")
    given = {"query": sql, **{f"param_{name}": value for name, value in parameters.items()}}
    files = {name: (None, value) for name, value in given.items()}
    answer = httpx.post(url, files=files, params={"database": database}, timeout=600, trust_env=False)
    if answer.status_code != 200:
        raise RuntimeError(answer.text[:2000])
    return answer.text


def questions(busiest: str) -> list[Asked]:
    """What the pages ask: finance, an account holder's, an operator's."""
    finance = "/admin/v1/finance"
    margins, movers = f"{finance}/margins", f"{finance}/movers"
    asked = [Asked("margins per day", margins, {**_WINDOW, "period": "day"})]
    asked += [
        Asked(f"margins per {period} by {by}", margins, {**_WINDOW, "period": period, "by": by, "limit": "1000"})
        for period in ("day", "month")
        for by in ("model", "provider", "channel", "group", "account", "key")
    ]
    half = {"since": str(DAYS[45]), "until": DAY_AFTER}
    measures = {"account": "revenue", "key": "revenue", "channel": "margin", "model": "upstream_cost"}
    asked += [
        Asked(f"movers of {measure} by {by}", movers, {**half, "by": by, "measure": measure})
        for by, measure in measures.items()
    ]
    asked += [
        Asked("margins of the busiest account", margins, {**_WINDOW, "account": busiest, "by": "model"}),
        Asked("liabilities", f"{finance}/liabilities", {}),
        Asked("liabilities at a month's end", f"{finance}/liabilities", {"at": f"{DAYS[-1].replace(day=1)}"}),
        Asked("usage of the busiest account by model", "/admin/v1/usage", {"account": busiest, "since": FIRST_DAY}),
        Asked("its usage by day", "/admin/v1/usage", {"account": busiest, "since": FIRST_DAY, "by": "day"}),
        Asked("its latest requests", "/admin/v1/usage/requests", {"account": busiest, "limit": "100"}),
        Asked("its statement", f"/admin/v1/accounts/{busiest}/statement", {"month": _MONTH}),
    ]
    return asked


def pages_of(busiest: str) -> dict[str, list[Asked]]:
    """By role."""
    span = {"since": FIRST_DAY, "to": str(DAYS[-1])}
    finance = [
        Asked(f"finance: revenue per {per} by {by}", "/finance", {**span, "per": per, "by": by})
        for per in ("day", "month")
        for by in ("model", "provider", "channel", "group", "account", "key")
    ]
    finance += [
        Asked("finance: revenue of one account by key", "/finance", {**span, "account": busiest, "by": "key"}),
        Asked("finance: movers by key", "/finance/movers", {"range": "30", "by": "key", "measure": "margin"}),
        Asked("finance: movers by account", "/finance/movers", {"range": "30", "by": "account"}),
        Asked("finance: liabilities", "/finance/liabilities", {}),
        Asked("finance: liabilities at a month's end", "/finance/liabilities", {"at": f"{DAYS[-1].replace(day=1)}"}),
        Asked("finance: exports", "/finance/exports", {}),
        Asked("finance: a statement", f"/finance/accounts/{busiest}/statement", {"month": _MONTH}),
    ]
    member = [
        Asked("member: overview", "/overview", {}),
        Asked("member: usage, 90 days by key", "/usage", {"days": "90", "by": "key", "measure": "tokens"}),
        Asked("member: requests, 90 days", "/requests", {"days": "90"}),
        Asked("member: failed requests, 90 days", "/requests", {"days": "90", "status": "failed"}),
        Asked("member: keys", "/keys", {}),
        Asked("member: statement", "/statements", {"month": _MONTH}),
    ]
    operator = [
        Asked("operator: keys", "/operator/keys", {}),
        Asked("operator: accounts", "/operator/accounts", {}),
        Asked("operator: the busiest account", f"/operator/accounts/{busiest}", {}),
        Asked("operator: channels, 7 days", "/operator/channels", {"hours": "168"}),
    ]
    return {"finance": finance, "member": member, "operator": operator}


def ask(client: httpx.Client, asked: Asked) -> Answered:
    times: list[float] = []
    for _ in range(_ASKED_TIMES):
        started = time.monotonic()
        client.get(asked.path, params=asked.query).raise_for_status()
        times.append(time.monotonic() - started)
    return Answered(asked.name, statistics.median(times), max(times))


def export(stack: Stack, client: httpx.Client, name: str, format_: str) -> Exported:
    engine = next(
        process
        for process in psutil.process_iter(["cmdline"])
        if "deploy.local.clickhouse_bridge" in (process.info["cmdline"] or ())
        and str(stack.state_dir.parent) in " ".join(process.info["cmdline"])
    )
    processes = {"console": psutil.Process(stack.processes["console"].pid), "clickhouse": engine}
    before = {of: _rss_mb(process) for of, process in processes.items()}
    received = 0
    newlines = 0
    started = time.monotonic()
    with (
        sampled(processes) as peak,
        client.stream(
            "GET", f"/admin/v1/finance/exports/{name}", params={**_WINDOW, "format": format_}, timeout=600
        ) as answer,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            received += len(chunk)
            newlines += chunk.count(b"\n")
    seconds = time.monotonic() - started
    return Exported(f"{name} {format_}", max(0, newlines - 1), received / 1e6, seconds, before, dict(peak))


@contextmanager
def sampled(processes: Mapping[str, psutil.Process]) -> Iterator[Mapping[str, float]]:
    """The highest resident memory in MB, by process, while the block runs."""
    peak = {of: _rss_mb(process) for of, process in processes.items()}
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(_SAMPLE_S):
            for of, process in processes.items():
                peak[of] = max(peak[of], _rss_mb(process))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        is_over.set()
        sampler.join()


def _rss_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def print_answered(heading: str, answered: Sequence[Answered]) -> None:
    print_table(
        (heading, "MEDIAN S", "SLOWEST S", f"UNDER {GOAL_S:.0f} S"),
        [
            (each.name, f"{each.median_s:.3f}", f"{each.slowest_s:.3f}", "yes" if each.slowest_s < GOAL_S else "NO")
            for each in answered
        ],
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *figures]), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
