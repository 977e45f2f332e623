"""Load whose every answer has a known price and a request id: what was charged is compared with what clients saw."""

from __future__ import annotations

import asyncio
import random
import threading

from lumen.protocols.dialects import Dialect
from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import until
from tests.load.calls import Call, make_call
from tests.load.clients import Calls, Outcome, Target, run_load

MODEL = "claude-opus-4-8"
_DIALECTS = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES)
_DIFFERENT_CALLS = 64
_INPUT_TOKENS = 10
_WAIT_S_MAX = 300.0


class Load:
    """Runs in a thread of its own, so that the test can drive the stack meanwhile."""

    def __init__(self, base_url: str, key: str, *, connections: int = 8, seed: int = 1) -> None:
        self._prices = dict(priced_calls(random.Random(seed)))
        self._calls = Calls(*self._prices)
        self._outcomes: list[Outcome] = []
        self.ended = 0
        target = Target(base_url, key)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(
                run_load(target, self._calls, connections=connections, on_outcome=self._on_outcome)
            ),
            name="load",
        )
        self._thread.start()

    def _on_outcome(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self.ended += outcome.is_complete

    def until_ended(self, more: int) -> None:
        """Wait for so many further answers whose end was seen."""
        wanted = self.ended + more
        until(lambda: self.ended >= wanted or not self._thread.is_alive(), f"{more} answers", _WAIT_S_MAX)
        assert self._thread.is_alive(), "the load has stopped"

    def stop(self) -> None:
        """Begin nothing more; returns when what was under way has ended."""
        self._calls.stop()
        self._thread.join(90)
        assert not self._thread.is_alive()

    @property
    def complete(self) -> dict[str, int]:
        """Request id -> nano-USD of each answer whose end was seen: exactly one charge each. Raises AssertionError for
        an answer without an id of its own: it could not be proven."""
        found: dict[str, int] = {}
        for outcome in self._outcomes:
            if outcome.is_complete:
                assert outcome.request_id, "an answer without x-request-id"
                assert outcome.request_id not in found, f"two answers called {outcome.request_id}"
                found[outcome.request_id] = self._prices[outcome.call]
        return found

    @property
    def most_nanousd(self) -> int:
        """The complete ones and those that may have been answered without their client seeing the end."""
        return sum(
            self._prices[outcome.call]
            for outcome in self._outcomes
            if outcome.is_complete or outcome.status in (0, 200)
        )


def priced_calls(numbers: random.Random) -> list[tuple[Call, int]]:
    calls = []
    for index in range(_DIFFERENT_CALLS):
        tokens = numbers.randrange(1, 30)
        # The tag makes equal requests different, so that each has its own place in the table.
        script = f"tokens={tokens} input={_INPUT_TOKENS} delay_ms=2 tag=call{index}"
        call = make_call(numbers.choice(_DIALECTS), is_stream=numbers.random() < 0.7, model=MODEL, script=script)
        calls.append((call, cost_nanousd(MODEL, input=_INPUT_TOKENS, output=tokens)))
    return calls
