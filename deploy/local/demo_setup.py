"""The first start's catalog, demo account, credit and key, made through the admin REST API as any operator would.

Every step may be repeated: a start that was interrupted halfway continues where it was.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.local.catalog_in_use import catalog_text
from deploy.local.errors import SetupRefused
from deploy.local.layout import Layout
from lumen.cli.exit_codes import ExitCode

DEMO_ACCOUNT = "demo"
DEMO_ROLES = ("member", "operator", "finance")
_DEMO_CREDIT_USD = "25"
_TIMEOUT_S = 20.0
_EXIT_CODES = {
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    400: ExitCode.INVALID_INPUT,
    422: ExitCode.INVALID_INPUT,
}


class AdminApi:
    """The few calls needed here. All raise SetupRefused with the API's own words."""

    def __init__(self, base_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def apply_catalog(self, text: str, source_name: str) -> None:
        await self._call("POST", "/admin/v1/catalog", {"content": text, "source_name": source_name})

    async def ensure_account(self, name: str) -> str:
        """The id of the account of this name, created if need be."""
        try:
            created = await self._call("POST", "/admin/v1/accounts", {"name": name})
        except SetupRefused as refused:
            if refused.exit_code is not ExitCode.CONFLICT:
                raise
            created = await self._call("GET", f"/admin/v1/accounts/{name}")
        return str(created["id"])

    async def credit(self, account: str, amount_usd: str, reference: str) -> None:
        """A top-up; one `reference` counts once."""
        await self._call(
            "POST",
            f"/admin/v1/accounts/{account}/credits",
            {"amount_usd": amount_usd, "kind": "topup", "reference": reference},
        )

    async def create_key(self, account: str, group: str, name: str) -> str:
        """The secret."""
        created = await self._call("POST", "/admin/v1/keys", {"account": account, "group": group, "name": name})
        return str(created["secret"])

    async def ensure_user(self, email: str, role: str, account: str, password: str) -> None:
        """A user with this password; one of this e-mail that is there already keeps their own."""
        body = {"email": email, "role": role, "account": account, "password": password}
        try:
            await self._call("POST", "/admin/v1/users", body)
        except SetupRefused as refused:
            if refused.exit_code is not ExitCode.CONFLICT:
                raise

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise SetupRefused(f"{method} {path}: {error!r}", ExitCode.UNREACHABLE) from error
        if answer.is_error:
            raise SetupRefused(
                f"{method} {path}: {answer.status_code} {answer.text}",
                _EXIT_CODES.get(answer.status_code, ExitCode.FAILURE),
            )
        document: dict[str, Any] = answer.json()
        return document


def demo_email(role: str) -> str:
    return f"{role}@lumen.example"


async def apply_catalog(api: AdminApi, catalog: Path, layout: Layout) -> None:
    """Apply the file and keep it as the one in use."""
    text = catalog_text(catalog, layout.port("simulator"))
    await api.apply_catalog(text, catalog.name)
    layout.catalog_file.write_text(text)


async def create_demo(api: AdminApi, password: str) -> dict[str, str]:
    """The demo account with its credit and a key, as `<state-dir>/env` exports them; and the console's demo users."""
    account = await api.ensure_account(DEMO_ACCOUNT)
    await api.credit(account, _DEMO_CREDIT_USD, f"demo-{account}")
    secret = await api.create_key(account, "default", "demo")
    await create_logins(api, account, password)
    return {"LUMEN_API_KEY": secret, "LUMEN_ACCOUNT": account}


async def create_logins(api: AdminApi, account: str, password: str) -> None:
    """A user per role, the member of `account`; users of these e-mails that are there keep their passwords."""
    for role in DEMO_ROLES:
        await api.ensure_user(demo_email(role), role, account if role == "member" else "", password)
