"""A real Chromium and people of each role on the shared stack. Skips, saying why, where there is no Chromium.

The browser is of module scope: Playwright's synchronous API keeps an event loop in the main thread, and asynchronous
tests of the same process must find none.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.browser.console import Console
from tests.fixtures.stack import Customer, Stack, until

PASSWORD = "a password of the tests"
ARTIFACTS = Path("artifacts/browser")
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class People:
    """An account with credits and usage, and a user per role."""

    customer: Customer
    emails: dict[str, str]
    request_ids: list[str]
    revision: int  # of the catalog, with a change to look at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("LUMEN_CHROMIUM_BIN") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on PATH: `make browsers` installs Debian's, or set LUMEN_CHROMIUM_BIN")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def people(stack: Stack) -> People:
    customer = stack.customer("25")
    unique = uuid4().hex[:8]
    emails = {role: f"{role}-{unique}@example.com" for role in ("member", "operator", "finance")}
    for role, email in emails.items():
        account = customer.account if role == "member" else ""
        stack.admin("POST", "/users", {"email": email, "role": role, "account": account, "password": PASSWORD})
    request_ids = [ask(stack, customer.key, model) for model in ("claude-opus-4-8", "gpt-5.5", "deepseek-v4-pro")]
    until(lambda: len(stack.admin("GET", "/usage/requests", account=customer.account)["requests"]) == 3, "3 are posted")
    catalog = stack.admin("GET", "/catalog")["catalog"]
    catalog["models"][0]["name"] += " (renamed)"
    order = {"content": json.dumps(catalog), "source_name": "browser-tests", "note": "a model renamed"}
    return People(customer, emails, request_ids, stack.admin("POST", "/catalog", order)["revision"])


@pytest.fixture(scope="module")
def sessions() -> dict[str, StorageState]:
    """Cookies by role: each role signs in once per module."""
    return {}


@pytest.fixture
def open_console(
    browser: Browser, stack: Stack, people: People, sessions: dict[str, StorageState]
) -> Iterator[Callable[..., Console]]:
    """`open_console("member")` is signed in, on the role's first page; `open_console()` is not."""
    opened: list[Console] = []

    def start(role: str = "", *, width: int = 1280, email: str = "") -> Console:
        context = browser.new_context(
            viewport={"width": width, "height": 860},
            locale="en-GB",
            permissions=["clipboard-read", "clipboard-write"],
            storage_state=sessions.get(role),
        )
        context.set_default_timeout(15_000)
        console = Console(context.new_page(), stack.env["LUMEN_CONSOLE_URL"], ARTIFACTS)
        opened.append(console)
        if role in sessions:
            console.go("/")
        elif role or email:
            console.sign_in(email or people.emails[role], PASSWORD)
            console.page.wait_for_url(lambda url: "/sign-in" not in url)
            if role:
                sessions[role] = context.storage_state()
        return console

    yield start
    for console in opened:
        problems = console.problems
        console.page.context.close()
        assert problems == []


def ask(stack: Stack, key: str, model: str) -> str:
    """One answered request; its id."""
    answer = httpx.post(
        f"{stack.base_url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}", "accept": "application/json"},
        json={"model": model, "messages": [{"role": "user", "content": "Hello"}]},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.headers["x-request-id"]
