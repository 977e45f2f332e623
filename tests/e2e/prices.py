"""The demo catalog's prices once more, written by hand: a test must not ask Lumen what Lumen should charge."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

# USD per million tokens
PRICES: dict[str, dict[str, str]] = {
    "claude-opus-4-8": {"input": "5", "output": "25", "cache_read": "0.5", "cache_write_5m": "6.25"},
    "claude-sonnet-4-6": {"input": "3", "output": "15"},
    "gpt-5.5": {"input": "5", "output": "30", "cache_read": "0.5"},
    "gemini-3.1-pro-preview": {"input": "2", "output": "12", "cache_read": "0.2"},
    "deepseek-v4-pro": {"input": "1.74", "output": "3.48", "cache_read": "0.145"},
}


def cost_nanousd(model: str, *, multiplier: str = "1", **tokens: int) -> int:
    """`tokens`: bucket -> count. Rounded once, half up."""
    total = sum(Decimal(count) * Decimal(PRICES[model][bucket]) * 1000 for bucket, count in tokens.items())
    return int((total * Decimal(multiplier)).quantize(Decimal(1), ROUND_HALF_UP))
