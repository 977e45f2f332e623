"""One control plane for the package; tests use accounts of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.integration.console.bookings import booked
from tests.integration.console.stack import CATALOG, Stack, running_stack

__all__ = ["booked"]  # for all modules

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def bare_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("console")) as stack:
        yield stack


@pytest.fixture(scope="package")
def stack(bare_stack: Stack) -> Stack:
    """With the catalog of `stack.CATALOG` as its first revision."""
    with bare_stack.client() as client:
        answer = client.post("/admin/v1/catalog", json={"content": CATALOG, "source_name": "test.yaml"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["revision"] == 1
    return bare_stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.fixture
def new_account(client: httpx.Client) -> Callable[[], str]:
    """Make an account; its id."""

    def create() -> str:
        answer = client.post("/admin/v1/accounts", json={"name": f"account-{next(_numbers)}"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return create
