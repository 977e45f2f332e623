"""How the commands find their stack, and what they make of answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumen.cli.admin_client import AdminApi, CommandFailed, _document, find_api, segment
from lumen.cli.env_file import store_env
from lumen.cli.exit_codes import ExitCode

NAMES = ("LUMEN_ADMIN_URL", "LUMEN_ADMIN_TOKEN", "LUMEN_STATE_DIR")


@pytest.fixture(autouse=True)
def _no_stack_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def make_stack(state_dir: Path, url: str) -> None:
    state_dir.mkdir(parents=True)
    store_env(state_dir / "env", {"LUMEN_ADMIN_URL": url, "LUMEN_ADMIN_TOKEN": "t"})


def test_option_wins_over_environment_wins_over_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_stack(tmp_path / ".lumen", "http://default")
    make_stack(tmp_path / "chosen", "http://chosen/")
    assert find_api(None) == AdminApi("http://default", "t")
    monkeypatch.setenv("LUMEN_ADMIN_URL", "http://sourced")
    monkeypatch.setenv("LUMEN_ADMIN_TOKEN", "s")
    assert find_api(None) == AdminApi("http://sourced", "s")
    assert find_api(tmp_path / "chosen") == AdminApi("http://chosen", "t")


def test_no_stack_is_unreachable_and_a_url_without_token_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandFailed, match="lumen up") as nothing:
        find_api(None)
    assert nothing.value.exit_code is ExitCode.UNREACHABLE
    monkeypatch.setenv("LUMEN_ADMIN_URL", "http://sourced")
    with pytest.raises(CommandFailed, match="LUMEN_ADMIN_TOKEN") as half:
        find_api(None)
    assert half.value.exit_code is ExitCode.USAGE


def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(CommandFailed, match="cannot reach") as caught:
        AdminApi("http://127.0.0.1:1", "t").get("/accounts")
    assert caught.value.exit_code is ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [
        (400, ExitCode.INVALID_INPUT),
        (401, ExitCode.FAILURE),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.CONFLICT),
        (422, ExitCode.INVALID_INPUT),
        (500, ExitCode.FAILURE),
        (503, ExitCode.UNREACHABLE),
    ],
)
def test_status_becomes_an_exit_code(status: int, exit_code: ExitCode) -> None:
    with pytest.raises(CommandFailed, match="why") as caught:
        _document(status, '{"error": {"kind": "k", "message": "why"}}')
    assert caught.value.exit_code is exit_code


@pytest.mark.parametrize("text", ["<html>", "[]", '{"detail": "Not Found"}', ""])
def test_something_else_on_the_port_is_said_so(text: str) -> None:
    with pytest.raises(CommandFailed, match="does not look like"):
        _document(404, text)


def test_names_cannot_leave_their_path_segment() -> None:
    assert segment("a/../b?c") == "a%2F..%2Fb%3Fc"
