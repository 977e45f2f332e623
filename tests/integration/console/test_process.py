"""`python -m services.console` as an operator runs it."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx

from tests.integration.console.stack import TOKEN, Stack


def test_dead_billing_is_503_with_retry_after_and_unready_until_it_is_back(stack: Stack) -> None:
    with stack.client() as client:
        client.post("/admin/v1/accounts", json={"name": "outage"})
        stack.stop("billing", signal.SIGKILL)
        answer = client.get("/admin/v1/accounts/outage/balance")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        stack.wait_ready("console", 503)
        assert "billing" in stack.readiness("console")[1]
        assert client.get("/admin/v1/accounts").status_code == 200
        stack.start("billing")
        stack.wait_ready("billing")
        stack.wait_ready("console")
        assert client.get("/admin/v1/accounts/outage/balance").json()["balance_usd"] == "0"


def test_metrics_count_by_route_template(stack: Stack) -> None:
    with stack.client() as client:
        client.get("/admin/v1/accounts/some-name-or-other")
    metrics = httpx.get(f"http://127.0.0.1:{stack.ops_ports['console']}/metrics", trust_env=False).text
    assert 'route="/admin/v1/accounts/{account}",status="404"' in metrics
    assert "some-name-or-other" not in metrics


def test_token_is_never_logged(stack: Stack) -> None:
    with stack.client("another-secret") as client:
        client.get("/admin/v1/accounts")
    log = (stack.state_dir / "console.log").read_text()
    assert TOKEN not in log
    assert "another-secret" not in log


def test_port_taken_is_a_clear_error(stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "services.console"],
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{stack.env['LUMEN_CONSOLE_PORT']}" in second.stderr


def test_empty_token_does_not_start(stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "services.console"],
        env={**stack.env, "LUMEN_ADMIN_TOKEN": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "ADMIN_TOKEN" in second.stderr


def test_stops_on_sigterm_with_exit_code_0(stack: Stack) -> None:
    assert stack.stop("console") == 0
    stack.start("console")
    stack.wait_ready("console")
