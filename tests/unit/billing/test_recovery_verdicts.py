"""The table of services/billing/recovery.py, row by row."""

from __future__ import annotations

import pytest

from services.billing.clickhouse_sink import StoredMark
from services.billing.ledger_stream import Bounds, Holding
from services.billing.marks import START, Mark
from services.billing.recovery import Stop, Verdict, judge

MARK = Mark(1, 50, "aa")
BEHIND, AHEAD = Mark(1, 40, "bb"), Mark(1, 60, "cc")
RUN, REBUILD = Verdict(), Verdict(is_rebuild=True)
REGRESSED, TRIMMED = Verdict(stop=Stop.LEDGER_REGRESSED), Verdict(stop=Stop.LEDGER_TRIMMED)


@pytest.mark.parametrize(
    ("clickhouse_holding", "redis", "redis_holding", "expected"),
    [
        (Holding.HELD, MARK, None, RUN),
        (Holding.HELD, None, None, REBUILD),
        (Holding.HELD, BEHIND, Holding.HELD, RUN),
        (Holding.HELD, BEHIND, Holding.TRIMMED, REBUILD),
        (Holding.HELD, BEHIND, Holding.MISMATCH, REBUILD),
        (Holding.HELD, AHEAD, Holding.HELD, RUN),
        (Holding.HELD, AHEAD, Holding.MISMATCH, REGRESSED),
        (Holding.HELD, Mark(2, 50, "aa"), Holding.HELD, REBUILD),
        (Holding.MISMATCH, MARK, None, REGRESSED),
        (Holding.MISMATCH, None, None, REGRESSED),
    ],
)
def test_verdict(
    clickhouse_holding: Holding, redis: Mark | None, redis_holding: Holding | None, expected: Verdict
) -> None:
    verdict = judge(
        StoredMark(MARK, MARK.sequence),
        redis,
        clickhouse_holding=clickhouse_holding,
        redis_holding=redis_holding,
        bounds=Bounds(1, 100),
    )
    assert verdict == expected


@pytest.mark.parametrize(("through", "expected"), [(98, TRIMMED), (99, RUN), (120, RUN)])
def test_an_idle_partition_is_told_from_a_missed_one_by_how_far_it_was_complete(
    through: int, expected: Verdict
) -> None:
    verdict = judge(
        StoredMark(MARK, through),
        MARK,
        clickhouse_holding=Holding.TRIMMED,
        redis_holding=None,
        bounds=Bounds(100, 200),
    )
    assert verdict == expected


def test_a_new_billing_under_a_trimmed_ledger_stops() -> None:
    verdict = judge(
        StoredMark(START, 0), None, clickhouse_holding=Holding.TRIMMED, redis_holding=None, bounds=Bounds(7, 9)
    )
    assert verdict == TRIMMED
