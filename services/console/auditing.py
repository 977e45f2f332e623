"""The audit log, written where every change passes: the calls that console makes to auth, router and billing.

CHANGES names each method that changes something; a test holds it against the services' own lists, so a new method
cannot be forgotten. An entry is appended before its change is made (without an audit log nothing is changed); a change
that then fails gets a second entry with its outcome. Secrets never go in.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from lumen.platform.logging import request_id_var
from protos import auth_pb2

logger = logging.getLogger(__name__)

# Who acts in this task: an e-mail, or what the token is called. Set by whoever checked the credentials.
actor_var: ContextVar[str] = ContextVar("lumen_console_actor", default="")
UNKNOWN_ACTOR = "unknown"

_TEXT_CHARS_MAX = 32_000
_SECRETS = ("password", "current_password", "new_password", "token", "secret")


@dataclass(frozen=True, slots=True)
class Change:
    """`target` names the request's field that says what is changed; `account` the one with the account's id.
    `before` names the method and field to read what was there: ("GetAccount", "id_or_name")."""

    action: str
    target: str = ""
    account: str = ""
    before: tuple[str, str] | None = None
    dry_run: str = ""  # a request with this field set changes nothing


# "service.Method" -> what is written
CHANGES: dict[str, Change] = {
    "AuthAdmin.CreateAccount": Change("account.create", target="name"),
    "AuthAdmin.SetAccountStatus": Change("account.status", "id", "id", before=("AuthAdmin.GetAccount", "id_or_name")),
    "AuthAdmin.SetAccountLimits": Change("account.limits", "id", "id", before=("AuthAdmin.GetAccount", "id_or_name")),
    "AuthAdmin.CreateKey": Change("key.create", "name", "account_id"),
    "AuthAdmin.RevokeKey": Change("key.revoke", "key_id"),
    "AdminTokens.Create": Change("token.create", "name"),
    "AdminTokens.Revoke": Change("token.revoke", "id"),
    "Users.CreateUser": Change("user.create", "email", "account_id"),
    "Users.InviteUser": Change("user.invite", "id_or_email", before=("Users.GetUser", "id_or_email")),
    "Users.SetUserStatus": Change("user.status", "id_or_email", before=("Users.GetUser", "id_or_email")),
    "Users.AcceptInvitation": Change("user.accept_invitation"),
    "Users.ChangePassword": Change("user.change_password"),
    "Alerts.SetAlert": Change("alert.set", "account_id", "account_id", before=("Alerts.GetAlert", "account_id")),
    "RouterAdmin.Apply": Change("catalog.apply", "source_name", before=("RouterAdmin.Show", ""), dry_run="dry_run"),
    "RouterAdmin.Rollback": Change("catalog.rollback", "revision", before=("RouterAdmin.Show", "")),
    "BillingAdmin.PostCredit": Change("credit.post", "account_id", "account_id"),
    "BillingAdmin.ReplayDeadLetter": Change("dead_letter.replay", "id"),
    "BillingAdmin.RebuildBalances": Change("ledger.rebuild", "account_id", "account_id"),
    "BillingAdmin.AdoptLedger": Change("ledger.adopt", dry_run="dry_run"),
}
# What changes nothing that an operator decides: questions, and sessions.
READS = frozenset(
    (
        *("AuthAdmin.GetAccount", "AuthAdmin.ListAccounts", "AuthAdmin.ListKeys"),
        *("AdminTokens.List", "AdminTokens.Authenticate"),
        *("Users.GetUser", "Users.ListUsers", "Users.ShowInvitation", "Users.SignIn", "Users.GetSession"),
        *("Users.SignOut", "Audit.Append", "Audit.List", "Alerts.GetAlert", "Alerts.ListAlerts", "Alerts.MoveAlert"),
        *("RouterAdmin.Show", "RouterAdmin.History", "RouterAdmin.Explain"),
        *("BillingAdmin.GetBalance", "BillingAdmin.Reconcile", "BillingAdmin.ListDeadLetters"),
    )
)


def is_change(name: str, request: Message) -> bool:
    change = CHANGES.get(name)
    return change is not None and not (change.dry_run and getattr(request, change.dry_run))


def entry_for(name: str, request: Message) -> auth_pb2.AuditEntry:
    """With actor, action, target, account_id, after_json and request_id."""
    change = CHANGES[name]
    return auth_pb2.AuditEntry(
        actor=actor_var.get() or UNKNOWN_ACTOR,
        action=change.action,
        target=str(getattr(request, change.target)) if change.target else "",
        account_id=str(getattr(request, change.account)) if change.account else "",
        after_json=as_json(request),
        request_id=request_id_var.get(),
    )


def as_json(message: Message) -> str:
    """Without secrets; a catalog's text by its hash, the revision holds it whole."""
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    for name in _SECRETS:
        fields.pop(name, None)
    fields.pop("catalog_json", None)
    fields.pop("channels", None)
    source = fields.pop("source", None)
    if isinstance(source, str) and "source_name" in fields:
        fields["source_sha256"] = hashlib.sha256(source.encode()).hexdigest()
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _TEXT_CHARS_MAX else json.dumps({"truncated": text[: _TEXT_CHARS_MAX // 2]})
