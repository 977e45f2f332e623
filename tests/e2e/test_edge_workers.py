"""Two edge processes behind one port: both serve, one is killed and replaced, nothing is charged twice or lost; and a
worker that is no longer wanted leaves no spool behind."""

from __future__ import annotations

from pathlib import Path

import httpx
import psutil
import pytest

from tests.fixtures.edges import metric_at
from tests.fixtures.stack import Customer, Stack, until

pytestmark = pytest.mark.slow

_COST_NANOUSD = 3 * 5_000 + 2 * 25_000
_CONNECTIONS = 32  # the kernel spreads them by a hash: all on one side once in two billion


def _ops(stack: Stack) -> str:
    base, _, port = stack.base_url.rpartition(":")
    return f"{base}:{int(port) + 10}"


def _ask(stack: Stack, customer: Customer) -> bool:
    """On a connection of its own. False: it was cut with the worker that had it, or is to be asked again (503)."""
    body = {
        "model": "claude-opus-4-8",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "[[sim tokens=2 input=3]]"}],
    }
    headers = {"authorization": f"Bearer {customer.key}"}
    try:
        answer = httpx.post(f"{stack.base_url}/v1/messages", json=body, headers=headers, timeout=30)
    except httpx.TransportError:
        return False
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def _submitted(stack: Stack, worker: int) -> float:
    lines = httpx.get(f"{_ops(stack)}/metrics").text.splitlines()
    name, label = "lumen_edge_ledger_entries_submitted_total{", f'worker="{worker}"'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and label in line)


def _workers(stack: Stack) -> list[psutil.Process]:
    return [
        process for process in psutil.Process(stack.pid("edge")).children() if "worker_process" in process.cmdline()[-1]
    ]


def _stack(directory: Path, workers: int) -> Stack:
    return Stack(directory, {"LUMEN_EDGE_WORKERS": str(workers)})


def test_both_serve_one_is_killed_and_replaced_and_fewer_leave_no_spool(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with _stack(directory, 2) as stack:
        customer = stack.customer("100")
        assert all(_ask(stack, customer) for _ in range(_CONNECTIONS))
        assert _submitted(stack, 0) > 0
        assert _submitted(stack, 1) > 0
        assert _submitted(stack, 0) + _submitted(stack, 1) == _CONNECTIONS
        killed, kept = _workers(stack)
        killed.kill()
        until(lambda: not killed.is_running() and len(_workers(stack)) == 2, "the killed worker is replaced", 30)
        until(lambda: httpx.get(f"{_ops(stack)}/readyz").json()["problems"] == {}, "both are ready", 30)
        assert kept.is_running()
        assert metric_at(_ops(stack), "lumen_edge_worker_restarts_total") == 1
        assert all(_ask(stack, customer) for _ in range(_CONNECTIONS))
        stack.until_balance(customer.account, customer.credits_nanousd - 2 * _CONNECTIONS * _COST_NANOUSD)
        stack.run("reconcile", "--state-dir", str(directory))
        workers = _workers(stack)
    assert not any(process.is_running() for process in workers)
    assert (directory / "edge" / "workers" / "1" / "worker_id").exists()
    with _stack(directory, 1) as stack:
        until(lambda: not (directory / "edge" / "workers" / "1").exists(), "the spool is drained", 30)
        until(lambda: _ask(stack, customer), "balances are live again after the start", 30)
        stack.run("reconcile", "--state-dir", str(directory))
