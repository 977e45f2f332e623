"""People of the console over plain HTTP: sign in, pages, forms with their token."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx

from tests.integration.console.stack import Stack

PASSWORD = "a password of the tests"


class Person:
    """One browser's cookies. `role` empty: nobody has signed in."""

    def __init__(self, stack: Stack, role: str = "", account: str = "", email: str = "") -> None:
        self.client = httpx.Client(base_url=stack.url, timeout=30, trust_env=False, headers={"accept-language": "en"})
        self.email = email or f"{role or 'nobody'}-{uuid4().hex[:10]}@example.com"
        self.role = role
        self.account = account
        if role:
            with stack.client() as admin:
                body = {"email": self.email, "role": role, "account": account, "password": PASSWORD}
                admin.post("/admin/v1/users", json=body).raise_for_status()
            answer = self.sign_in(PASSWORD)
            assert answer.status_code == 303, answer.text

    def sign_in(self, password: str) -> httpx.Response:
        return self.post("/sign-in", {"email": self.email, "password": password}, page="/sign-in")

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, fields: dict[str, str] | None = None, *, page: str = "/settings") -> httpx.Response:
        """With the token that `page` puts into its forms."""
        return self.client.post(path, data={"csrf": self.csrf(page), **(fields or {})})

    def csrf(self, page: str = "/settings") -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.client.get(page).text)
        assert found is not None
        return found[1]
