"""nano-USD (`int`) as people read it."""

from __future__ import annotations

NANOUSD_PER_USD = 10**9


def format_usd(nanousd: int) -> str:
    """-12500000000 -> `-12.5`: every digit that there is, no others."""
    whole, fraction = divmod(abs(nanousd), NANOUSD_PER_USD)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{'-' if nanousd < 0 else ''}{whole}{'.' + digits if digits else ''}"
