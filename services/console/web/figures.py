"""Figures as people read them. Rounding is for the eye only: the exact value is always beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from markupsafe import Markup, escape

from lumen.money.amounts import format_usd

_NANO = 10**9


def grouped(number: int) -> str:
    """12345678 -> 12,345,678"""
    return f"{number:,}"


def usd(nanousd: int, digits: int = 2) -> str:
    """-1234567890000 -> -$1,234.57 (half away from zero). What is not zero never reads as zero: <$0.01."""
    unit = 10 ** (9 - digits)
    sign, amount = ("-" if nanousd < 0 else ""), abs(nanousd)
    rounded = (amount + unit // 2) // unit
    if amount and not rounded:
        return f"{sign}<$0.{'0' * (digits - 1)}1"
    whole, fraction = divmod(rounded, 10**digits)
    return f"{sign}${whole:,}.{fraction:0{digits}d}"


def usd_scale(nanousd: int) -> Callable[[int], str]:
    """`usd` with as many digits as amounts of this size need to differ: for a chart's axis and bars."""
    digits = 2 if nanousd >= _NANO else 4 if nanousd >= _NANO // 100 else 6
    return lambda amount: usd(amount, digits) if amount else "$0"


def money(nanousd: int, digits: int = 2) -> Markup:
    """With the exact amount on hover and for scripts."""
    exact = format_usd(nanousd)
    return Markup('<data class="fig" value="{}" title="{} USD">{}</data>').format(exact, exact, usd(nanousd, digits))


def compact(number: int) -> str:
    """1234567 -> 1.2M; for axes."""
    for limit, suffix in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= limit:
            tenths = number * 10 // limit
            return f"{tenths // 10}{suffix}" if tenths % 10 == 0 else f"{tenths // 10}.{abs(tenths) % 10}{suffix}"
    return str(number)


def count(number: int | None) -> Markup:
    """A count with separators; None (not reported) is a dash that says so."""
    if number is None:
        return Markup('<span class="muted" title="not reported">–</span>')
    return Markup('<data class="fig" value="{}">{}</data>').format(number, grouped(number))


def milliseconds(us: int) -> Markup:
    """An elapsed time, exact on hover."""
    if us <= 0:
        return Markup('<span class="muted">–</span>')
    text = f"{us / 1_000_000:.2f} s" if us >= 1_000_000 else f"{us / 1000:.0f} ms"
    return Markup('<span class="fig" title="{} µs">{}</span>').format(grouped(us), text)


def moment(time_s: int) -> Markup:
    """2026-11-25 10:00 UTC, machine readable."""
    if not time_s:
        return Markup('<span class="muted">–</span>')
    at = datetime.fromtimestamp(time_s, UTC)
    return Markup('<time class="fig" datetime="{}" title="{} UTC">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S"), at.strftime("%Y-%m-%d %H:%M")
    )


def instant(iso: str | None) -> Markup:
    """The same of an ISO time as the admin API writes it."""
    if not iso:
        return Markup('<span class="muted">–</span>')
    return Markup('<time class="fig" datetime="{}" title="{}">{}</time>').format(
        iso, iso, escape(iso[:16]).replace("T", " ")
    )


def percent(part: int, whole: int) -> str:
    """One digit after the point; a dash of nothing."""
    if not whole:
        return "–"
    tenths = abs(part) * 1000 // abs(whole)
    return f"{'-' if tenths and (part < 0) != (whole < 0) else ''}{tenths // 10}.{tenths % 10}%"


def days_left_tenths(balance_nanousd: int, spent_nanousd: int, over_s: int) -> int | None:
    """Tenths of days until the balance is used up at this rate; None: nothing was spent."""
    if spent_nanousd <= 0:
        return None
    return max(0, balance_nanousd) * over_s * 10 // (spent_nanousd * 86_400)
