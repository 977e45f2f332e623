"""One stack for all scenarios of a pytest process that leave it whole; each has a customer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.chaos.load import Load
from tests.chaos.proof import Tally, as_json, prove
from tests.chaos.table import PROPERTY
from tests.fixtures.stack import Customer, Stack

# Waits short enough to be overrun by a test; everything else is as in production.
_SETTINGS = {"LUMEN_BILLING_CLICKHOUSE_TIMEOUT_S": "2"}


@pytest.fixture(scope="session")
def chaos_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("chaos") / "state", _SETTINGS) as running:
        yield running


@pytest.fixture
def requests(pytestconfig: pytest.Config) -> int:
    """How many answers to wait for in each phase."""
    return int(pytestconfig.getoption("--chaos-requests"))


Note = Callable[[Tally], None]


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Put a scenario's figures into the table."""
    return lambda tally: record_property(PROPERTY, as_json(tally))


class Scenario:
    """A stack under load of one customer: do something to it, then `prove`."""

    def __init__(self, stack: Stack, requests: int, note: Note) -> None:
        self.stack = stack
        self.requests = requests
        self._note = note
        self.customer = stack.customer("1000")
        self.load = Load(stack.base_url, self.customer.key)

    def prove(self, name: str, more: Mapping[str, int] | None = None) -> Tally:
        """End the load and compare. `more`: request ids seen complete besides the load's, with their prices."""
        self.load.stop()
        complete = {**self.load.complete, **(more or {})}
        most = self.load.most_nanousd + sum((more or {}).values())
        tally = prove(name, self.stack, self.customer, complete, most)
        self._note(tally)
        return tally


@pytest.fixture
def scenario(chaos_stack: Stack, requests: int, note: Note) -> Iterator[Scenario]:
    """Under load already."""
    running = Scenario(chaos_stack, requests, note)
    try:
        running.load.until_ended(requests)
        yield running
    finally:
        running.load.stop()


__all__ = ["Customer", "Scenario"]
