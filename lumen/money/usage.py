"""What a model reported having used: disjoint counts, normalised from every vendor's own arithmetic.

The buckets never overlap, so a charge is the plain sum of bucket x price. `reasoning` is the one exception: it is the
part of `output` spent on thinking and is shown, never priced again. `None` means the provider did not report the
bucket; `0` means it reported zero.
"""

from __future__ import annotations

import msgspec

# The buckets that carry a price, in the order every table, message and statement lists them.
PRICED_BUCKETS = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "audio_input",
    "audio_output",
    "image_input",
    "server_tool_requests",
)

# The buckets that make up the prompt; their sum picks the long-context tier.
PROMPT_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")


class TokenUsage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Counts of one answer. Field order is wire format (ledger entries): append only."""

    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    server_tool_requests: int | None = None

    def prompt_tokens(self) -> int:
        """All tokens of the prompt, cached or not."""
        return (  # PROMPT_BUCKETS, spelt out: on every request's path
            (self.input or 0)
            + (self.cache_read or 0)
            + (self.cache_write_5m or 0)
            + (self.cache_write_1h or 0)
            + (self.audio_input or 0)
            + (self.image_input or 0)
        )


# What the tables call the counts, in the order of the fields.
COUNT_COLUMNS = tuple(
    name if name == "server_tool_requests" else f"{name}_tokens" for name in TokenUsage.__struct_fields__
)
