"""What pages say: money rounded for the eye and exact beside it, charts, prices, differences of catalogs."""

from __future__ import annotations

import pytest

from lumen.catalog.document import Catalog
from services.console.web.catalog_diff import catalog_diff
from services.console.web.charts import SERIES_MAX, stacked
from services.console.web.figures import compact, days_left_tenths, money, percent, usd, usd_scale
from services.console.web.periods import period
from services.console.web.price_lists import price_lists
from services.console.web.snippets import snippets
from services.console.web.visitors import local_path


@pytest.mark.parametrize(
    ("nanousd", "digits", "text"),
    [
        (0, 2, "$0.00"),
        (1_234_565_000_000, 2, "$1,234.57"),
        (-12_500_000_000, 2, "-$12.50"),
        (1, 2, "<$0.01"),
        (-1, 4, "-<$0.0001"),
        (4_999_999, 2, "<$0.01"),
        (5_000_000, 2, "$0.01"),
        (8_999_999_999_999_999, 2, "$9,000,000.00"),
        (465_000, 6, "$0.000465"),
    ],
)
def test_money_is_rounded_for_the_eye_and_never_reads_as_nothing(nanousd: int, digits: int, text: str) -> None:
    assert usd(nanousd, digits) == text


def test_the_exact_amount_is_beside_the_rounded_one() -> None:
    assert 'value="1234.567890123" title="1234.567890123 USD">$1,234.57<' in money(1_234_567_890_123)


def test_an_axis_says_small_amounts_apart() -> None:
    assert [usd_scale(2_000_000)(amount) for amount in (0, 1_000_000, 2_000_000)] == ["$0", "$0.001000", "$0.002000"]
    assert usd_scale(5 * 10**9)(25 * 10**8) == "$2.50"


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1000, "1k"), (1250, "1.2k"), (2 * 10**9, "2B")])
def test_compact_counts(number: int, text: str) -> None:
    assert compact(number) == text


def test_shares_and_days_left() -> None:
    assert (percent(1, 3), percent(0, 0)) == ("33.3%", "–")
    assert (percent(-1, 200), percent(-3, 2), percent(3, -2), percent(-1, 10_000)) == (
        "-0.5%",
        "-150.0%",
        "-150.0%",
        "0.0%",
    )
    assert days_left_tenths(70 * 10**9, 7 * 10**9, 7 * 86_400) == 700
    assert days_left_tenths(-5, 10**9, 86_400) == 0
    assert days_left_tenths(10**9, 0, 86_400) is None


def test_a_chart_stacks_the_largest_and_sums_up_the_others() -> None:
    series = {f"m{number}": {"2026-11-25": number} for number in range(1, SERIES_MAX + 4)}
    chart = stacked(["2026-11-24", "2026-11-25"], series, scale=lambda _: str, other="other")
    assert chart.names == [*(f"m{number}" for number in range(9, 3, -1)), "other"]
    assert chart.rows[1] == ("2026-11-25", [9, 8, 7, 6, 5, 4, 6])
    assert chart.total == 45
    assert all(bar.x > chart.left and bar.y >= 0 and bar.y + bar.height <= chart.base + 0.01 for bar in chart.bars)
    assert chart.bars[0].title == "2026-11-25, m9: 9"
    tops = sorted(bar.y for bar in chart.bars)
    assert tops == [bar.y for bar in reversed(chart.bars)]  # each on top of the one before


def test_a_chart_of_nothing_has_no_bars() -> None:
    assert stacked(["a"], {}, scale=lambda _: str, other="other").bars == []


def test_periods_end_with_the_running_hour_or_day() -> None:
    now_s = 1_795_600_830
    assert period(7, "day", now_s).labels[-1] == "2026-11-25"
    assert len(period(30, "hour", now_s).labels) == 30  # by day: bars must stay visible
    assert len(period(1, "day", now_s).labels) == 24
    assert period(999, "", now_s).days == 7


CATALOG = Catalog.model_validate(
    {
        "models": [
            {
                "code": "m1",
                "name": "M1",
                "vendor": "v",
                "max_output_tokens": 9,
                "price": {"input": "1.5", "output": "2"},
            }
        ],
        "groups": [{"name": "half", "multiplier": "0.35"}],
        "channels": [
            {"name": "c", "dialects": {"openai_chat": "http://h/v1"}, "secret": "env:K", "models": {"m1": "u"}}
        ],
    }
)


def test_prices_are_exact_with_the_groups_multiplier() -> None:
    (group,) = price_lists(CATALOG, 1)
    prices = group.models[0].tiers[0].prices
    assert (prices["input"], prices["output"], prices["cache_read"]) == ("0.525", "0.70", "0.525")


def test_a_model_whose_only_channel_is_disabled_is_not_offered() -> None:
    channel = CATALOG.channels[0].model_copy(update={"disabled": True})
    (group,) = price_lists(CATALOG.model_copy(update={"channels": (channel,)}), 1)
    assert group.models == []


def test_a_catalogs_difference_names_object_and_field() -> None:
    before = {"models": [{"code": "m1", "price": {"input": "1"}}], "groups": [{"name": "g"}]}
    after = {"models": [{"code": "m1", "price": {"input": "2"}}], "channels": [{"name": "c", "weight": 1, "cost": {}}]}
    lines = [(line.part, line.name, line.field, line.before, line.after) for line in catalog_diff(before, after)]
    assert lines == [
        ("models", "m1", "price.input", "1", "2"),
        ("groups", "g", "", '{"name": "g"}', ""),
        ("channels", "c", "", "", '{"name": "c", "weight": 1}'),
    ]
    assert catalog_diff(after, after) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/requests?days=7&q=a%20b", "/requests?days=7&q=a%20b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=1", "/a%0D%0ASet-Cookie:%20x=1"),
    ],
)
def test_redirects_stay_here(text: str, path: str) -> None:
    assert local_path(text) == path


def test_set_up_is_filled_in_with_key_address_and_model() -> None:
    made = {
        snippet.id: snippet.text for snippet in snippets("https://api.example", "sk-lumen-k", "gpt-5.5", "claude-x")
    }
    assert "ANTHROPIC_BASE_URL=https://api.example\n" in made["claude-code"]
    assert 'base_url = "https://api.example/v1"' in made["codex-config"]
    assert '"OPENAI_API_KEY": "sk-lumen-k"' in made["codex-auth"]
    assert all("sk-lumen-k" in text for id_, text in made.items() if id_ != "codex-config")
    only = snippets("https://api.example", "k", "m", "m", only_claude_code=True)
    assert [snippet.id for snippet in only] == ["claude-code"]
