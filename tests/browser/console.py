"""The console as a person sees it: pages by their names, buttons by theirs. Keeps what the browser complained about."""

from __future__ import annotations

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

_SERIOUS = ("serious", "critical")
# The browser logs every answer of 400 and more as an error of its own; those are looked at by the tests.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


class Console:
    def __init__(self, page: Page, url: str, artifacts: Path) -> None:
        self.page = page
        self.url = url
        self._artifacts = artifacts
        self.problems: list[str] = []  # script errors, violations of the content-security policy
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", self._note)

    def _note(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind == "error" and not _EXPECTED.match(text):
            self.problems.append(f"{self.page.url}: {text}")

    def go(self, path: str) -> int:
        """The status."""
        response = self.page.goto(self.url + path)
        assert response is not None
        return response.status

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.url)

    def sign_in(self, email: str, password: str) -> None:
        self.go("/sign-in")
        self.fill("E-mail", email)
        self.fill("Password", password)
        self.press("Sign in")

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def press(self, name: str) -> None:
        self.page.locator("main").get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def text(self) -> str:
        return self.page.locator("main").inner_text()

    def row(self, text: str) -> Locator:
        return self.page.locator("tbody tr", has_text=text)

    def confirm_questions(self) -> None:
        self.page.on("dialog", lambda dialog: dialog.accept())

    def shot(self, name: str) -> None:
        """A screenshot of the whole page, to be looked at."""
        self.page.screenshot(path=str(self._artifacts / f"{name}.png"), full_page=True)

    def serious_findings(self, rules: list[str] | None = None) -> list[str]:
        """axe-core's, of this page as it is; `rules`: these only."""
        options = {"runOnly": rules} if rules else None
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{self.path}: {each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in _SERIOUS
        ]

    def overflows(self) -> bool:
        """Whether the page itself, not a table in it, must be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
