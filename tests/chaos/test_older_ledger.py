"""LEDGER replaced by an older copy of itself: the one fault that must not mend itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lumen.protocols.dialects import Dialect
from tests.chaos.conftest import Note, Scenario
from tests.chaos.faults import back_up, held_down, metric, ops_text, put_back
from tests.chaos.load import MODEL, Load
from tests.chaos.proof import prove, until_clean
from tests.chaos.test_clients import send
from tests.fixtures.stack import Stack, until
from tests.load.calls import make_call

STOPPED = "lumen_billing_stopped_partitions"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_older_ledger_stops_everything_and_is_adopted(
    new_stack: Callable[..., Stack], requests: int, note: Note
) -> None:
    """Hypothesis: a broker that comes back with an older copy of the ledger is noticed by billing and by the edge
    before either writes over it. Pass: partitions stop and alert, no balance moves, clients get 503; after `lumen
    ledger adopt` and a restart of the edge every answer seen, before and after, has its one charge."""
    stack = new_stack()
    scenario = Scenario(stack, requests, note)
    scenario.load.until_ended(requests)
    copy = back_up(stack, "nats")
    scenario.load.until_ended(requests)
    scenario.load.stop()
    until_clean(stack)  # all of it is posted; what is not would be lost with the broker's disk
    balance = stack.balance_nanousd(scenario.customer.account)
    with held_down(stack, "nats"):
        put_back(stack, "nats", copy)

    until(lambda: metric(stack, "billing", STOPPED) > 0, "billing has stopped", 60)
    assert "ledger_regressed" in ops_text(stack, "billing", "/readyz")
    call = make_call(Dialect.OPENAI_CHAT, is_stream=False, model=MODEL, script="tokens=1 input=10")
    until(lambda: send(stack, scenario.customer.key, call, 1)[0].status == 503, "the edge refuses", 60)
    assert stack.balance_nanousd(scenario.customer.account) == balance

    adopted = stack.lumen("ledger", "adopt")["partitions"]
    assert sum(row["batches_restored"] for row in adopted) > 0
    until(lambda: metric(stack, "billing", STOPPED) == 0, "billing runs again", 60)
    stack.kill("edge")
    stack.until_ready()
    load = Load(stack.base_url, scenario.customer.key, seed=2)
    try:
        load.until_ended(requests)
    finally:
        load.stop()
    # The requests sent while the edge was about to notice may have been answered, too: at least the complete ones.
    complete = {**scenario.load.complete, **load.complete}
    note(prove("LEDGER replaced by an older copy, adopted", stack, scenario.customer, complete))
