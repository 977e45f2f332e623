"""Each scope against each operation that there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.console.authorization import SCOPES, is_allowed
from tests.unit.console.openapi import OPERATIONS

# What each scope may, of (method, path template).
ALLOWED: dict[str, Callable[[str, str], bool]] = {
    "read_only": lambda method, path: _is_read(method, path),
    "finance": lambda method, path: _is_read(method, path) or path.endswith("/credits"),
    "keys": lambda method, path: (
        "/keys" in path or (method == "GET" and path.startswith(("/admin/v1/accounts", "/admin/v1/catalog")))
    ),
    "full": lambda method, path: True,
}


def _is_read(method: str, path: str) -> bool:
    return (method == "GET" and "/tokens" not in path) or path == "/admin/v1/route/explain"


def _is_read_of(method: str, path: str, *roots: str) -> bool:
    return method == "GET" and path.startswith(roots)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("scope", list(SCOPES))
def test_a_scope_reaches_what_it_is_for_and_nothing_else(scope: str, method: str, path: str) -> None:
    patterns = next(patterns for name, patterns in SCOPES.items() if name == scope)
    assert is_allowed(patterns, method, path.replace("{", "").replace("}", "")) is ALLOWED[scope](method, path)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("HEAD", "/admin/v1/accounts", True),
        ("GET", "/admin/v1/accounts/x/y", True),
        ("GET", "/admin/v1/accountsx", False),
        ("GET", "/admin/v1/tokens", False),
        ("GET", "/admin/v1/finance/../tokens", True),  # no such route: paths are not resolved by the server either
        ("POST", "/admin/v1/accounts/x/credits/", False),
        ("POST", "/admin/v1/accounts//credits", False),
        ("DELETE", "/admin/v1/accounts", False),
        ("GET", "/admin/v2/accounts", False),
    ],
)
def test_patterns_match_whole_segments(method: str, path: str, expected: bool) -> None:
    assert is_allowed(SCOPES["read_only"], method, path) is expected
