"""From a form to an order of an API key, checked as the admin API checks it."""

from __future__ import annotations

from pydantic import ValidationError

from protos import auth_pb2
from services.console.bodies import CreateKey
from services.console.errors import ConsoleError
from services.console.keys_api import create_key
from services.console.parts import Parts
from services.console.views import CreatedKeyView
from services.console.web.visitors import Form


async def create_from_form(parts: Parts, account_id: str, form: Form) -> CreatedKeyView:
    """Raises ConsoleError with a message about the field."""
    try:
        body = CreateKey(
            account=account_id,
            group=form.text("group"),
            name=form.text("name"),
            expires=form.text("expires") or None,
            models=form.texts("models"),
            ips=[part for part in form.text("ips").replace(",", " ").split() if part],
            spend_limit_usd=form.text("spend_limit_usd") or None,
            rpm=_whole(form.text("rpm"), "rpm"),
            tpm=_whole(form.text("tpm"), "tpm"),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field, message = str(first["loc"][0] if first["loc"] else ""), first["msg"].removeprefix("Value error, ")
        raise ConsoleError(f"{field}: {message}", kind="invalid_fields") from error
    return await create_key(body, parts)


async def find_key(parts: Parts, account_id: str, key_id: str) -> auth_pb2.Key:
    """A key of this account. Raises ConsoleError (not_found) for any other."""
    answer = await parts.backends.auth.call(
        parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=account_id)
    )
    for key in answer.keys:
        if key.view.key_id == key_id:
            return key
    raise ConsoleError("there is no such key", kind="not_found")


async def successor(parts: Parts, key: auth_pb2.Key) -> auth_pb2.CreateKeyResponse:
    """A new key with the same settings; the old one is left as it is."""
    view = key.view
    order = auth_pb2.CreateKeyRequest(
        account_id=view.account_id,
        group=view.group,
        name=view.name,
        expires_at_s=view.expires_at_s if view.expires_at_s > parts.now_s() else 0,
        models=view.models,
        ips=view.ips,
        spend_limit_nanousd=view.spend_limit_nanousd,
        rpm=view.rpm,
        tpm=view.tpm,
    )
    return await parts.backends.auth.call(parts.backends.accounts.CreateKey, order)


def _whole(text: str, field: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ConsoleError(f"{field}: write a whole number", kind="invalid_fields")
    return int(text)
