"""Who may do what: each role x each page, form and endpoint of the admin API; another account's objects are 404."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute

from services.console.web.app import PAGE_MODULES
from tests.integration.console.people import Person
from tests.integration.console.stack import Stack, usage_entry

pytestmark = pytest.mark.slow

NewPerson = Callable[..., Person]
ROLES = ("", "member", "operator", "finance")
# What anybody may see, signed in or not.
PUBLIC = {
    *(("GET", path) for path in ("/", "/sign-in", "/invitation", "/docs", "/docs/admin")),
    *(("POST", path) for path in ("/sign-in", "/invitation", "/preferences")),
}
ANY_ROLE = {("GET", "/settings"), ("POST", "/settings/password"), ("POST", "/sign-out")}
ROUTES = sorted(
    (method, route.path)
    for module in PAGE_MODULES
    for route in module.router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
)


def owner(method: str, path: str) -> str:
    """The one role that a page is for."""
    first = path.split("/")[1]
    return first if first in ("operator", "finance") else "member"


@dataclass(frozen=True)
class World:
    """Two accounts, each with a key and a request; a person per role, the member of the first."""

    people: dict[str, Person]
    own: dict[str, str]
    others: dict[str, str]


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    def account(name: str) -> dict[str, str]:
        with stack.client() as admin:
            created = admin.post("/admin/v1/accounts", json={"name": name}).raise_for_status().json()["id"]
            key = admin.post("/admin/v1/keys", json={"account": created, "group": "default"}).raise_for_status().json()
            user = {"email": f"{name}@example.com", "role": "member", "account": created}
            user_id = admin.post("/admin/v1/users", json=user).raise_for_status().json()["id"]
            stack.use(created, [usage_entry(created, f"request-of-{name}", key_id=key["id"])], f"edge-{name}.1")
            deadline = 400
            while not admin.get("/admin/v1/usage/requests", params={"account": created}).json()["requests"]:
                deadline -= 1
                assert deadline, "the request was not posted"
        return {
            "account_id": created,
            "key_id": key["id"],
            "request_id": f"request-of-{name}",
            "user_id": user_id,
            "revision": "1",
            "name": "c1",
            "letter": "1-1-1-1",
        }

    own, others = account("matrix-own"), account("matrix-other")
    people = {role: Person(stack, role, own["account_id"] if role == "member" else "") for role in ROLES}
    yield World(people, own, others)
    for person in people.values():
        person.client.close()


@pytest.fixture
def new_person(stack: Stack) -> Iterator[NewPerson]:
    """`new_person(role, account)` signs in; with `email` only: a second browser of somebody."""
    made: list[Person] = []

    def make(role: str = "", account: str = "", email: str = "") -> Person:
        made.append(Person(stack, role, account, email))
        return made[-1]

    yield make
    for person in made:
        person.client.close()


def test_the_matrix_covers_pages_of_every_role() -> None:
    assert len(ROUTES) > 45
    assert {owner(*route) for route in set(ROUTES) - PUBLIC - ANY_ROLE} == {"member", "operator", "finance"}
    assert set(ROUTES) >= PUBLIC | ANY_ROLE


@pytest.mark.parametrize("role", ROLES)
def test_each_page_is_for_its_role_only(world: World, role: str) -> None:
    person = world.people[role]
    wrong: list[str] = []
    for method, template in ROUTES:
        if method != "GET":
            continue
        answer = person.get(template.format(**world.own))
        expected = {200}
        if (method, template) in PUBLIC:
            expected = {404} if template == "/invitation" else {200, 303}  # no token: no invitation
        elif not role:
            expected = {303}
        elif (method, template) not in ANY_ROLE and owner(method, template) != role:
            expected = {404}
        is_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
        if answer.status_code not in expected or (expected == {303} and not is_sign_in):
            wrong.append(f"{method} {template}: {answer.status_code}, not {expected}")
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_each_form_is_for_its_role_only(world: World, role: str) -> None:
    """With a valid token, so that the role decides; forms of one's own role are tested by what they do."""
    person = world.people[role]
    wrong: list[str] = []
    for method, template in ROUTES:
        is_open = (method, template) in PUBLIC | ANY_ROLE
        if method != "POST" or is_open or owner(method, template) == role:
            continue
        answer = person.post(template.format(**world.own), page="/settings" if role else "/sign-in")
        is_sign_in = answer.status_code == 303 and answer.headers["location"] == "/sign-in"
        if not (answer.status_code == 404 if role else is_sign_in):
            wrong.append(f"{method} {template}: {answer.status_code}")
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_no_form_is_taken_without_its_token(world: World, role: str) -> None:
    """Neither without one, nor with another session's, nor sent from another site."""
    person = world.people[role]
    stranger = world.people["finance" if role == "operator" else "operator"].csrf()
    mine = person.csrf("/settings" if role else "/sign-in")
    wrong: list[str] = []
    for method, template in ROUTES:
        is_mine = (method, template) in PUBLIC or (
            role and ((method, template) in ANY_ROLE or owner(method, template) == role)
        )
        if method != "POST" or not is_mine:
            continue
        path = template.format(**world.own)
        for name, fields, headers in (
            ("none", {}, {}),
            ("another's", {"csrf": stranger}, {}),
            ("another site", {"csrf": mine}, {"origin": "https://evil.example"}),
        ):
            answer = person.client.post(path, data=fields, headers=headers)
            if answer.status_code != 403:
                wrong.append(f"{path} with {name}: {answer.status_code}")
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "template"),
    [route for route in ROUTES if "{" in route[1] and owner(*route) == "member"],
)
def test_another_accounts_objects_do_not_exist(world: World, method: str, template: str) -> None:
    member = world.people["member"]
    path = template.format(**world.others)
    answer = member.get(path) if method == "GET" else member.post(path)
    assert answer.status_code == 404
    unknown = template.format(**dict.fromkeys(world.others, "nobodys"))
    other = member.get(unknown) if method == "GET" else member.post(unknown)
    assert other.status_code == 404


def test_a_member_sees_only_the_own_account_in_lists(world: World) -> None:
    member = world.people["member"]
    shown = "".join(
        member.get(path).text for path in ("/overview", "/keys", "/requests", "/statements", "/usage?by=key")
    )
    assert world.own["request_id"] in shown
    for value in (world.others["account_id"], world.others["key_id"], world.others["request_id"]):
        assert value not in shown
    filtered = member.get(f"/requests?key={world.others['key_id']}&q={world.others['request_id']}").text
    assert "No requests found" in filtered


def test_a_member_is_not_told_what_the_provider_costs_us(world: World) -> None:
    page = world.people["member"].get(f"/requests/{world.own['request_id']}").text
    assert "How the charge was made" in page
    assert "margin" not in page.lower()
    assert ">c1<" not in page  # the channel


@pytest.mark.parametrize("role", ROLES)
def test_no_session_opens_the_admin_api(world: World, role: str, client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    person = world.people[role]
    wrong = [
        f"{method} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if person.client.request(method, path.replace("{", "").replace("}", "")).status_code != 401
    ]
    assert wrong == []


def test_signing_out_and_disabling_end_a_session(
    stack: Stack, new_person: NewPerson, new_account: Callable[[], str]
) -> None:
    person = new_person("member", new_account())
    assert person.get("/overview").status_code == 200
    token = dict(person.client.cookies)
    assert person.post("/sign-out").status_code == 303
    person.client.cookies.update(token)  # kept by somebody
    assert person.get("/overview").headers["location"].startswith("/sign-in")
    other = new_person("operator")
    with stack.client() as admin:
        admin.post(f"/admin/v1/users/{other.email}/status", json={"status": "disabled"}).raise_for_status()
    assert other.get("/operator/accounts").headers["location"].startswith("/sign-in")
    assert other.sign_in("a password of the tests").status_code == 401


def test_cookies_and_headers_are_strict(stack: Stack, new_person: NewPerson, new_account: Callable[[], str]) -> None:
    person = new_person("member", new_account())
    again = new_person(email=person.email)
    cookie = again.sign_in("a password of the tests").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    answer = person.get("/overview")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    style = answer.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "immutable" in person.get(style).headers["cache-control"]
    assert person.get("/static/0000000000000000/console.css").status_code == 404
    assert "style=" not in answer.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_leads_to_another_site(
    stack: Stack, new_person: NewPerson, new_account: Callable[[], str], target: str
) -> None:
    person = new_person("member", new_account())
    again = new_person(email=person.email)
    answer = again.post(
        "/sign-in", {"email": person.email, "password": "a password of the tests", "next": target}, page="/sign-in"
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"


def test_what_people_type_is_shown_as_text(stack: Stack, new_person: NewPerson, new_account: Callable[[], str]) -> None:
    person = new_person("member", new_account())
    name = "<script>alert(1)</script>"
    created = person.post("/keys/new", {"name": name, "group": "default"})
    assert created.status_code == 200
    page = person.get("/keys").text
    assert name not in page
    assert "&lt;script&gt;" in page


def test_changes_are_in_the_audit_log_with_who_made_them(
    stack: Stack, new_person: NewPerson, new_account: Callable[[], str]
) -> None:
    operator = new_person("operator")
    account = new_account()
    order = {"kind": "topup", "amount_usd": "1.5", "reason": "paid by card", "reference": "page-1"}
    path = f"/operator/accounts/{account}/credits"
    assert operator.post(path, order).status_code == 303
    assert operator.post(path, order).status_code == 303  # a second click
    refused = operator.post(path, {**order, "reason": ""})
    assert refused.status_code == 422
    with stack.client() as admin:
        credited = admin.get(f"/admin/v1/accounts/{account}/statement").json()
    assert credited["credits"]["usd"] in ("0", "1.5")  # posted within a second, once
    page = operator.get("/operator/audit").text
    assert operator.email in page
    assert "paid by card" in page
    assert "admin token" in page  # who made the account
