"""What the commands send, against a server that records it; and how little they load before they have to."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lumen.cli.exit_codes import ExitCode
from lumen.cli.main import create_app


class Recorder:
    """An admin API that answers every call with `answer` and `status`."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.status = 200
        self.calls: list[tuple[str, str, Any]] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                recorder.calls.append((self.command, self.path, body))
                payload = json.dumps(recorder.answer).encode()
                self.send_response(recorder.status)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = _serve

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def run(self, *arguments: str) -> Result:
        env = {"LUMEN_ADMIN_URL": f"http://127.0.0.1:{self.server.server_port}", "LUMEN_ADMIN_TOKEN": "t"}
        return CliRunner().invoke(create_app(), list(arguments), env=env)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    thread = threading.Thread(target=recorder.server.serve_forever)
    thread.start()
    yield recorder
    recorder.server.shutdown()
    thread.join()
    recorder.server.server_close()


@pytest.mark.parametrize("amount", ["-5", "-5.50", "-0.25"])
def test_negative_amount_is_an_amount(recorder: Recorder, amount: str) -> None:
    assert recorder.run("account", "credit", "a", amount, "--kind", "adjustment", "--json").exit_code == 0
    [(method, path, body)] = recorder.calls
    assert (method, path) == ("POST", "/admin/v1/accounts/a/credits")
    assert (body["amount_usd"], body["kind"]) == (amount, "adjustment")


def test_paid_takes_amount_and_currency(recorder: Recorder) -> None:
    result = recorder.run("account", "credit", "a", "5", "--paid", "4.60", "EUR", "--note", "n", "--json")
    assert result.exit_code == 0
    body = recorder.calls[0][2]
    assert (body["paid"], body["note"]) == ({"amount": "4.60", "currency": "EUR"}, "n")


def test_credit_whose_answer_was_lost_can_be_repeated_with_its_reference(recorder: Recorder) -> None:
    recorder.status, recorder.answer = 503, {"error": {"kind": "unavailable", "message": "the ledger is away"}}
    result = recorder.run("account", "credit", "a", "5")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert f"--reference {recorder.calls[0][2]['reference']}" in result.stderr
    assert result.stdout == ""


def test_key_options_become_fields(recorder: Recorder) -> None:
    arguments = "--group g --name n --expires 30d --models a,b --ips 10.0.0.0/8, --spend-limit 5 --rpm 6 --tpm 7"
    assert recorder.run("key", "create", "acct", *arguments.split(), "--json").exit_code == 0
    assert recorder.calls[0][2] == {
        "account": "acct",
        "group": "g",
        "name": "n",
        "expires": "30d",
        "models": ["a", "b"],
        "ips": ["10.0.0.0/8"],
        "spend_limit_usd": "5",
        "rpm": 6,
        "tpm": 7,
    }


def test_further_limits_of_a_key_are_sent_when_said(recorder: Recorder) -> None:
    arguments = "--group g --concurrency 8 --spend-day 1.5 --spend-month 20"
    assert recorder.run("key", "create", "acct", *arguments.split(), "--json").exit_code == 0
    sent = recorder.calls[0][2]
    assert (sent["concurrency"], sent["spend_day_usd"], sent["spend_month_usd"]) == (8, "1.5", "20")


def test_limits_of_an_account_are_sent_when_said_and_zero_is_none(recorder: Recorder) -> None:
    recorder.answer = {"id": "acct_1", "name": "a", "status": "active", "created_at": None, "limits": {"rpm": 60}}
    result = recorder.run("account", "limit", "a", "--rpm", "60", "--tpm", "0", "--spend-day", "0")
    assert result.exit_code == 0, result.output
    assert recorder.calls == [("POST", "/admin/v1/accounts/a/limits", {"rpm": 60, "tpm": None, "spend_day_usd": None})]
    assert "rpm" in result.stdout
    assert "limits" not in result.stdout


def test_reconcile_fails_when_anything_disagrees(recorder: Recorder) -> None:
    check = {"name": "rollups", "is_ok": False, "examined": 3, "drifts": ["hour 12: 1 != 2"]}
    recorder.answer = {"is_ok": False, "checks": [check], "entries": 3, "dead_letters": 0}
    result = recorder.run("reconcile")
    assert result.exit_code == ExitCode.FAILURE
    assert "rollups: hour 12: 1 != 2" in result.stdout
    assert recorder.run("reconcile", "--json").exit_code == ExitCode.FAILURE
    recorder.answer = {"is_ok": True, "checks": [], "entries": 3, "dead_letters": 0}
    assert recorder.run("reconcile").exit_code == ExitCode.OK


def test_catalog_problems_are_printed_like_a_compiler_s(recorder: Recorder) -> None:
    problem = {"line": 12, "field": "models[0].price.input", "message": "required"}
    recorder.status = 422
    recorder.answer = {"error": {"kind": "invalid_catalog", "message": "1 problem", "problems": [problem]}}
    result = recorder.run("apply", "-f", __file__)
    assert result.exit_code == ExitCode.INVALID_INPUT
    assert f"{__file__}:12: models[0].price.input: required" in result.stderr


def test_usage_asks_what_it_was_told(recorder: Recorder) -> None:
    assert recorder.run("usage", "a b", "--since", "7d", "--by", "key", "--json").exit_code == 0
    assert recorder.calls[0][1] == "/admin/v1/usage?account=a+b&since=7d&by=key"


def test_command_starts_without_loading_the_http_client() -> None:
    code = "import sys, lumen.cli.main as m; m.create_app(); sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_route_explain_sends_the_key_in_the_body_and_marks_the_chosen(recorder: Recorder) -> None:
    candidate = {"channel": "c2", "model": "m", "priority": 0, "weight": 1, "in_flight": 0, "upstream_model": "u"}
    chosen = {**candidate, "is_chosen": True, "reason": "chosen"}
    edge = {"edge": "w1", "catalog_revision": 3, "problem": None, "candidates": [chosen]}
    recorder.answer = {"model": "m", "group": "g", "account": "a", "refusal": None, "edges": [edge]}
    result = recorder.run("route", "explain", "--key", "sk-lumen-x", "--model", "m")
    assert result.exit_code == 0, result.output
    assert recorder.calls == [("POST", "/admin/v1/route/explain", {"key": "sk-lumen-x", "model": "m", "text": ""})]
    assert "*  c2" in result.stdout
