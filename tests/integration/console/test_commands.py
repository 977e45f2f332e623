"""The operator's commands against a running control plane, as scripts use them."""

from __future__ import annotations

import json

import httpx
import pytest

from lumen.cli.exit_codes import ExitCode
from tests.integration.console.stack import CATALOG, TOKEN, Stack


def test_from_account_to_balance(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir), "--json")
    account = json.loads(stack.lumen("account", "create", "shop", *option).stdout)
    assert account["id"]
    posted = stack.lumen(
        "account", "credit", "shop", "10.5", "--paid", "9.80", "EUR", "--reference", "inv-1", "--note", "n", *option
    )
    assert json.loads(posted.stdout)["amount_usd"] == "10.5", posted.stderr
    again = stack.lumen("account", "credit", "shop", "10.5", "--reference", "inv-1", *option)
    assert json.loads(again.stdout)["already_existed"] is True
    lowered = stack.lumen("account", "credit", "shop", "-0.25", "--kind", "adjustment", *option)
    assert lowered.returncode == 0, lowered.stderr
    balance = json.loads(stack.lumen("balance", "shop", *option).stdout)
    assert (balance["balance_nanousd"], balance["balance_usd"]) == (10_250_000_000, "10.25")
    key = json.loads(
        stack.lumen("key", "create", account["id"], "--group", "default", "--models", "m1,m2", *option).stdout
    )
    assert key["id"]
    assert key["secret"].startswith("sk-lumen-")
    assert stack.lumen("key", "revoke", key["id"], *option).returncode == 0
    assert json.loads(stack.lumen("key", "list", "shop", *option).stdout)["keys"][0]["revoked"] is True
    assert json.loads(stack.lumen("usage", "shop", "--by", "day", *option).stdout)["total"]["requests"] == 0
    assert stack.lumen("reconcile", *option).returncode == 0


@pytest.mark.slow
def test_tables_are_for_people(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir))
    stack.lumen("account", "create", "readable", *option)
    assert "12.000000001 USD" in stack.lumen("account", "credit", "readable", "12.000000001", *option).stdout
    assert "available  12.000000001 USD" in stack.lumen("balance", "readable", *option).stdout
    assert "readable" in stack.lumen("account", "list", *option).stdout
    assert "suspended" in stack.lumen("account", "suspend", "readable", *option).stdout
    assert "active" in stack.lumen("account", "activate", "readable", *option).stdout
    assert "not shown again" in stack.lumen("key", "create", "readable", "--group", "default", *option).stdout
    assert "COST USD" in stack.lumen("usage", "readable", *option).stdout
    assert "everything agrees" in stack.lumen("reconcile", *option).stdout
    assert "only_m1" in stack.lumen("catalog", "show", *option).stdout


def test_users_are_invited_by_a_link_that_opens_the_console(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir), "--json")
    email = "first@example.com"
    invited = json.loads(stack.lumen("user", "create", email, "--role", "operator", *option).stdout)
    assert invited["status"] == "invited"
    page = httpx.get(invited["invitation_url"], trust_env=False)
    assert page.status_code == 200
    assert email in page.text
    assert stack.lumen("user", "create", email, "--role", "operator", *option).returncode == ExitCode.CONFLICT
    assert (
        stack.lumen("user", "create", "m@example.com", "--role", "member", *option).returncode == ExitCode.INVALID_INPUT
    )
    renewed = json.loads(stack.lumen("user", "invite", email, *option).stdout)
    assert httpx.get(invited["invitation_url"], trust_env=False).status_code == 404
    assert httpx.get(renewed["invitation_url"], trust_env=False).status_code == 200
    created = stack.lumen(
        "user", "create", "f@example.com", "--role", "finance", "--password-stdin", *option, stdin="a long password\n"
    )
    assert json.loads(created.stdout)["status"] == "active"
    assert json.loads(stack.lumen("user", "disable", "f@example.com", *option).stdout)["status"] == "disabled"
    assert json.loads(stack.lumen("user", "enable", "f@example.com", *option).stdout)["status"] == "active"
    assert stack.lumen("user", "disable", "nobody@example.com", *option).returncode == ExitCode.NOT_FOUND


def test_apply_reads_stdin_and_names_line_and_field_of_each_problem(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir))
    fine = stack.lumen("apply", "-f", "-", "--dry-run", *option, stdin=CATALOG)
    assert (fine.returncode, fine.stderr) == (ExitCode.OK, "")
    broken = stack.lumen("apply", "-f", "-", *option, stdin=CATALOG.replace('input: "3"', "inputt: 3"))
    assert broken.returncode == ExitCode.INVALID_INPUT
    assert "stdin:4: models[1].price" in broken.stderr
    whole = json.loads(stack.lumen("catalog", "show", "--json", *option).stdout)
    again = stack.lumen("apply", "-f", "-", "--json", *option, stdin=json.dumps(whole["catalog"]))
    assert json.loads(again.stdout)["unchanged"] is True
    assert stack.lumen("apply", "-f", "nowhere.yaml", *option).returncode == ExitCode.USAGE


def test_exit_codes_tell_what_went_wrong(stack: Stack) -> None:
    option = ("--state-dir", str(stack.state_dir))
    assert stack.lumen("balance", "nobody", *option).returncode == ExitCode.NOT_FOUND
    assert stack.lumen("account", "create", "twice", *option).returncode == ExitCode.OK
    assert stack.lumen("account", "create", "twice", *option).returncode == ExitCode.CONFLICT
    refused = stack.lumen("account", "credit", "twice", "0.0000000001", *option)
    assert refused.returncode == ExitCode.INVALID_INPUT
    assert "9 digits" in refused.stderr
    assert stack.lumen("account", "credit", "twice", "1", "--knd", "topup", *option).returncode == ExitCode.USAGE


def test_stack_is_found_by_option_then_environment_then_default_directory(stack: Stack) -> None:
    sourced = {"LUMEN_ADMIN_URL": stack.url, "LUMEN_ADMIN_TOKEN": TOKEN}
    assert stack.lumen("account", "list", **sourced).returncode == ExitCode.OK
    elsewhere = stack.lumen("account", "list", "--state-dir", "nothing-here", **sourced)
    assert elsewhere.returncode == ExitCode.UNREACHABLE
    assert "lumen up" in elsewhere.stderr
    assert stack.lumen("account", "list").returncode == ExitCode.UNREACHABLE
    assert stack.lumen("account", "list", LUMEN_STATE_DIR=str(stack.state_dir)).returncode == ExitCode.OK
    wrong = stack.lumen("account", "list", LUMEN_ADMIN_URL=stack.url, LUMEN_ADMIN_TOKEN="wrong")
    assert wrong.returncode == ExitCode.FAILURE
    assert "another stack" in wrong.stderr
