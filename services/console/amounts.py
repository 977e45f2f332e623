"""USD as people write it -> nano-USD (`int`). Exact: no float, no rounding, one billionth is the least."""

from __future__ import annotations

import re

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from lumen.money.amounts import NANOUSD_PER_USD

_DECIMAL = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]{1,30}))?")
_FRACTION_DIGITS = 9


def parse_usd(text: str) -> int:
    """`-12.5` -> -12500000000. Raises ValueError with a reason that a person can act on."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError('write USD as a decimal such as "12.50": digits and at most one point')
    sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
    if len(fraction) > _FRACTION_DIGITS:
        raise ValueError(f"at most {_FRACTION_DIGITS} digits after the point; nothing is rounded")
    nanousd = int(whole) * NANOUSD_PER_USD + int(fraction.ljust(_FRACTION_DIGITS, "0"))
    if nanousd >= AMOUNT_NANOUSD_MAX:
        raise ValueError(f"must stay below {AMOUNT_NANOUSD_MAX // NANOUSD_PER_USD} USD")
    return -nanousd if sign == "-" else nanousd
