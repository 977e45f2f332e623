"""Users, sessions, the audit log and alerts over gRPC, on a real NATS."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import grpc
import grpc.aio
import pytest

from lumen.platform.grpc import error_kind
from protos import auth_pb2, auth_pb2_grpc
from services.auth.bootstrap import Auth
from tests.integration.auth.conftest import Replica

PASSWORD = "correct horse battery"


@dataclass
class People:
    users: auth_pb2_grpc.UsersAsyncStub
    audit: auth_pb2_grpc.AuditAsyncStub
    alerts: auth_pb2_grpc.AlertsAsyncStub
    admin: auth_pb2_grpc.AuthAdminAsyncStub
    auth: Auth

    async def account(self) -> str:
        return (await self.admin.CreateAccount(auth_pb2.CreateAccountRequest(name=f"a-{uuid4().hex[:12]}"))).id

    async def create(self, *, role: str = "operator", account_id: str = "", password: str = PASSWORD) -> str:
        """The e-mail."""
        email = f"{uuid4().hex[:12]}@example.com"
        request = auth_pb2.CreateUserRequest(email=email, role=role, account_id=account_id, password=password)
        await self.users.CreateUser(request)
        return email

    async def sign_in(self, email: str, password: str = PASSWORD) -> auth_pb2.Session:
        return await self.users.SignIn(auth_pb2.SignInRequest(email=email, password=password, address="192.0.2.1"))

    async def session(self, token: str) -> auth_pb2.Session:
        return await self.users.GetSession(auth_pb2.GetSessionRequest(token=token))


@pytest.fixture
def people(replica: Replica) -> People:
    channel = replica.channel
    return People(
        auth_pb2_grpc.UsersStub(channel),
        auth_pb2_grpc.AuditStub(channel),
        auth_pb2_grpc.AlertsStub(channel),
        replica.admin,
        replica.auth,
    )


async def refused(call: object) -> str | None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return error_kind(caught.value)


async def test_who_signs_in_has_a_session_until_signing_out(people: People) -> None:
    account = await people.account()
    email = await people.create(role="member", account_id=account)
    session = await people.sign_in(email.upper())
    assert (session.user.role, session.user.account_id, session.user.status) == ("member", account, "active")
    assert (await people.session(session.token)).user.email == email
    await people.users.SignOut(auth_pb2.SignOutRequest(token=session.token))
    assert await refused(people.session(session.token)) == "session_not_found"
    assert await refused(people.session("never-was")) == "session_not_found"


async def test_unknown_email_wrong_password_and_disabled_user_are_one_answer(people: People) -> None:
    email = await people.create()
    assert await refused(people.sign_in(email, "wrong password")) == "sign_in_refused"
    assert await refused(people.sign_in("nobody@example.com")) == "sign_in_refused"
    token = (await people.sign_in(email)).token
    await people.users.SetUserStatus(auth_pb2.SetUserStatusRequest(id_or_email=email, status="disabled"))
    assert await refused(people.sign_in(email)) == "sign_in_refused"
    assert await refused(people.session(token)) == "session_not_found"


async def test_a_new_password_ends_every_earlier_session(people: People) -> None:
    email = await people.create()
    first, other = await people.sign_in(email), await people.sign_in(email)
    wrong = auth_pb2.ChangePasswordRequest(token=first.token, current_password="wrong", new_password="x" * 12)
    assert await refused(people.users.ChangePassword(wrong)) == "sign_in_refused"
    short = auth_pb2.ChangePasswordRequest(token=first.token, current_password=PASSWORD, new_password="short")
    assert await refused(people.users.ChangePassword(short)) == "invalid_request"
    change = auth_pb2.ChangePasswordRequest(token=first.token, current_password=PASSWORD, new_password="a new password")
    renewed = await people.users.ChangePassword(change)
    assert (await people.session(renewed.token)).user.email == email
    for token in (first.token, other.token):
        assert await refused(people.session(token)) == "session_not_found"
    assert await refused(people.sign_in(email)) == "sign_in_refused"
    assert (await people.sign_in(email, "a new password")).token


async def test_an_invitation_works_once_and_an_older_one_not_at_all(people: People) -> None:
    email = f"{uuid4().hex[:12]}@example.com"
    created = await people.users.CreateUser(auth_pb2.CreateUserRequest(email=email, role="finance"))
    assert created.user.status == "invited"
    renewed = await people.users.InviteUser(auth_pb2.InviteUserRequest(id_or_email=email))
    old = auth_pb2.AcceptInvitationRequest(token=created.invitation_token, password=PASSWORD)
    assert await refused(people.users.AcceptInvitation(old)) == "invitation_not_found"
    shown = await people.users.ShowInvitation(auth_pb2.ShowInvitationRequest(token=renewed.invitation_token))
    assert shown.email == email
    accept = auth_pb2.AcceptInvitationRequest(token=renewed.invitation_token, password=PASSWORD)
    assert (await people.users.AcceptInvitation(accept)).status == "active"
    assert await refused(people.users.AcceptInvitation(accept)) == "invitation_not_found"
    assert (await people.sign_in(email)).user.role == "finance"


async def test_an_email_is_one_users_and_roles_fit_accounts(people: People) -> None:
    email = await people.create()
    again = auth_pb2.CreateUserRequest(email=email.title(), role="operator")
    assert await refused(people.users.CreateUser(again)) == "user_exists"
    for fields, kind in (
        ({"email": "no address", "role": "operator"}, "invalid_request"),
        ({"email": "a@example.com", "role": "king"}, "invalid_request"),
        ({"email": "a@example.com", "role": "member"}, "invalid_request"),
        ({"email": "a@example.com", "role": "member", "account_id": "acct_none"}, "account_not_found"),
        ({"email": "a@example.com", "role": "operator", "account_id": "acct_none"}, "invalid_request"),
        ({"email": "a@example.com", "role": "operator", "password": "short"}, "invalid_request"),
    ):
        assert await refused(people.users.CreateUser(auth_pb2.CreateUserRequest(**fields))) == kind
    listed = await people.users.ListUsers(auth_pb2.ListUsersRequest())
    assert [user.email for user in listed.users].count(email) == 1


async def test_tries_at_once_are_throttled_like_tries_in_a_row(people: People) -> None:
    email = await people.create()
    tries = await asyncio.gather(*(people.sign_in(email, "wrong") for _ in range(16)), return_exceptions=True)
    kinds = [error_kind(error) for error in tries if isinstance(error, grpc.aio.AioRpcError)]
    assert kinds.count("sign_in_refused") <= 10
    assert kinds.count("too_many_sign_ins") >= 6 - kinds.count("unavailable")
    assert await refused(people.sign_in(email)) == "too_many_sign_ins"


async def test_audit_entries_come_newest_first_page_by_page(people: People) -> None:
    target = uuid4().hex
    for number in range(5):
        entry = auth_pb2.AuditEntry(actor="ada@example.com", action="key.create", target=target, after_json=str(number))
        assert (await people.audit.Append(entry)).sequence > 0
    newest = await people.audit.List(auth_pb2.ListAuditRequest(limit=3))
    assert [(entry.target, entry.after_json) for entry in newest.entries] == [(target, str(n)) for n in (4, 3, 2)]
    older = await people.audit.List(auth_pb2.ListAuditRequest(before_sequence=newest.entries[-1].sequence, limit=2))
    assert [entry.after_json for entry in older.entries] == ["1", "0"]
    assert await refused(people.audit.Append(auth_pb2.AuditEntry(action="x"))) == "invalid_request"


async def test_of_two_deliverers_of_an_alert_one_wins(people: People) -> None:
    account = await people.account()
    order = auth_pb2.SetAlertRequest(account_id=account, url="https://example.com/hook", threshold_nanousd=10**9)
    alert = await people.alerts.SetAlert(order)
    assert alert.state == "armed"
    assert alert.secret.startswith("whsec_")
    claim = auth_pb2.MoveAlertRequest(account_id=account, revision=alert.revision, state="delivering")
    outcomes = await asyncio.gather(
        people.alerts.MoveAlert(claim), people.alerts.MoveAlert(claim), return_exceptions=True
    )
    assert sum(isinstance(outcome, auth_pb2.AlertSetting) for outcome in outcomes) == 1
    listed = await people.alerts.ListAlerts(auth_pb2.ListAlertsRequest())
    assert [each.state for each in listed.alerts if each.account_id == account] == ["delivering"]
    await people.alerts.SetAlert(auth_pb2.SetAlertRequest(account_id=account))
    assert await refused(people.alerts.GetAlert(auth_pb2.GetAlertRequest(account_id=account))) == "alert_not_found"
