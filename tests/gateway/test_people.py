"""Logins and the APIs of users and admins, on a gateway with accounts."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from account_gateway import UNIT, Books, bearer, books, charging_gateway
from argon2 import PasswordHasher
from gateway import fake_model, fake_variant
from gateway_client import CHAT, chat_body
from oidc_provider import CLIENT, SECRET, Provider, provider
from yarl import URL

from accounts import passwords
from utils.config.accounts import OidcTable

if TYPE_CHECKING:
    from fake_engine import Journal
    from gateway import Gateway
    from gateway_client import Answer

PASSWORD = "correct horse battery"
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs on purpose would be most of these tests."""
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "PasswordHasher", cheap)


@pytest.fixture
def at(journal: Journal) -> Books:
    return books(journal.path.parent / "state")


class Browser:
    """A browser: it keeps the cookie, and says that it asks from the gateway's own page."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.cookie = ""

    async def ask(
        self,
        method: str,
        path: str,
        headers: Any = None,
        *,
        allow_redirects: bool = True,
        **body: Any,
    ) -> Answer:
        sent = {**OWN, **(headers or {})}
        if self.cookie:
            sent["Cookie"] = self.cookie
        data = json.dumps(body) if body else None
        answer = await self._gateway.request(
            method, path, headers=sent, data=data, allow_redirects=allow_redirects
        )
        if (given := answer.headers.get("Set-Cookie")) is not None:
            assert "HttpOnly" in given
            assert "SameSite=Lax" in given
            self.cookie = given.partition(";")[0].removesuffix("gw=")
        return answer


async def first_admin(gateway: Gateway, log: str) -> Browser:
    """Take up the invite in the log."""
    [token] = re.findall(r"/login#invite=(\S+)", log)
    browser = Browser(gateway)
    answer = await browser.ask(
        "POST", "/login/api/invite", invite=token, email="Admin@x.org", name="A", password=PASSWORD
    )
    assert (answer.status, answer.json["account"]["admin"]) == (201, True)
    again = await Browser(gateway).ask(
        "POST", "/login/api/invite", invite=token, email="b@x.org", name="B", password=PASSWORD
    )
    again.error(401, "login_refused")
    return browser


async def test_the_first_admin_comes_by_the_log_and_others_by_the_admin(
    journal: Journal, at: Books, caplog: pytest.LogCaptureFixture
) -> None:
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        admin = await first_admin(gateway, caplog.text)
        made = await admin.ask(
            "POST", "/admin/api/users", name="Ada", tier="payg", email="ada@x.org", balance="2.5"
        )
        assert (made.status, made.json["balance"], made.json["status"]) == (201, "2.5", "active")
        number = made.json["id"]
        (
            await admin.ask("POST", "/admin/api/users", name="B", tier="sub", email="ADA@x.org")
        ).error(409, "already_exists")
        # The link is for one use.
        ada = Browser(gateway)
        link = made.json["link"]
        begun = await ada.ask("POST", "/login/api/link", link=link, password=PASSWORD)
        assert begun.json["account"]["name"] == "Ada"
        (await Browser(gateway).ask("POST", "/login/api/link", link=link)).error(
            401, "login_refused"
        )
        assert (await ada.ask("GET", "/user/api/me")).json["available"] == "2.5"
        (await ada.ask("GET", "/admin/api/users")).error(403, "not_permitted")
        # By its session the account may ask models, and pays.
        answer = await ada.ask("POST", CHAT, **chat_body())
        assert answer.status == 200
        [row] = (await ada.ask("GET", "/user/api/usage")).json["usage"]
        assert (row["model"], row["requests"], row["completion_tokens"]) == ("m", 1, 4)
        table = await ada.ask("GET", "/user/api/usage?format=csv")
        assert table.body.startswith(b"day,model,key,")
        assert row["cost"] != "0"
        limits = (await ada.ask("GET", "/user/api/ratelimit")).json["account"]
        assert (limits["requests"]["limit"], limits["requests"]["remaining"]) == (25, 24)
        [model] = (await ada.ask("GET", "/user/api/models")).json["models"]
        assert model["price"]["output"] == "0.2"
        topped = await admin.ask(
            "POST", f"/admin/api/users/{number}/topup", amount="10", id="bill-7"
        )
        again = await admin.ask(
            "POST", f"/admin/api/users/{number}/topup", amount="10", id="bill-7"
        )
        assert topped.json["balance"] == again.json["balance"]
        ledger = (await admin.ask("GET", f"/admin/api/users/{number}/ledger")).json["ledger"]
        assert [each["kind"] for each in ledger] == ["topup", "usage", "grant"]
        for page in ("keys", "usage", "users"):
            many = f"/admin/api/{page}?{'cursor' if page == 'users' else 'account'}={'9' * 20}"
            (await admin.ask("GET", many)).error(400, "invalid_request")
        usage = (await admin.ask("GET", "/admin/api/usage?group=account")).json["usage"]
        assert [(each["account"], each["requests"]) for each in usage] == [("Ada", 1)]
        blocked = await admin.ask("PATCH", f"/admin/api/users/{number}", status="blocked")
        assert blocked.json["status"] == "blocked"
        assert (await ada.ask("GET", "/user/api/me")).status == 401
        found = (await admin.ask("GET", "/admin/api/users?search=ada&status=blocked")).json
        assert [each["email"] for each in found["users"]] == ["ada@x.org"]
        rows = (await admin.ask("GET", "/admin/api/audit?limit=100")).json["audit"]
        actions = {each["action"] for each in rows}
        assert {"account.create", "money.topup", "account.change", "session.begin"} <= actions
        assert PASSWORD not in json.dumps(rows)
        assert link not in json.dumps(rows)


async def test_a_login_and_what_ends_it(
    journal: Journal, at: Books, caplog: pytest.LogCaptureFixture
) -> None:
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        admin = await first_admin(gateway, caplog.text)
        one, other = Browser(gateway), Browser(gateway)
        for browser in (one, other):
            answer = await browser.ask(
                "POST", "/login/api/login", email="ADMIN@x.org", password=PASSWORD
            )
            assert answer.status == 200
            assert "admin@x.org" not in browser.cookie
        sessions = (await one.ask("GET", "/user/api/sessions")).json["sessions"]
        assert sorted(each["current"] for each in sessions) == [False, False, True]
        # Other pages of the same machine have the cookie, too, and are refused.
        for origin in ({"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}):
            (await one.ask("POST", "/user/api/tickets", origin)).error(403, "origin_not_allowed")
        plain = {"Cookie": one.cookie, "Origin": "http://127.0.0.1:3000"}
        answer = await gateway.request("POST", "/user/api/tickets", headers=plain)
        answer.error(403, "origin_not_allowed")
        changed = await one.ask("POST", "/user/api/password", old=PASSWORD, new="a" * 12)
        assert changed.status == 200
        for ended in (other, admin):
            assert (await ended.ask("GET", "/user/api/me")).status == 401
        assert (await one.ask("GET", "/user/api/me")).status == 200
        (await one.ask("POST", "/user/api/password", old="no", new="b" * 12)).error(
            401, "login_refused"
        )
        before = one.cookie
        assert (await one.ask("POST", "/login/api/logout")).status == 200
        one.cookie = before
        assert (await one.ask("GET", "/user/api/me")).status == 401
        # Somebody who guesses is stopped, with a right password, too.
        statuses = set()
        for _ in range(11):
            tried = await other.ask(
                "POST", "/login/api/login", email="admin@x.org", password="guess " * 2
            )
            statuses.add(tried.status)
        assert statuses == {401, 429}
        last = await other.ask("POST", "/login/api/login", email="admin@x.org", password="a" * 12)
        assert last.status == 429
        assert int(last.headers["Retry-After"]) > 0


async def test_keys_are_shown_once_rotated_and_revoked(journal: Journal, at: Books) -> None:
    key = at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}
        (await gateway.request("POST", "/user/api/keys", **bearer(key))).error(403, "not_permitted")
        assert (await gateway.request("GET", "/user/api/keys", **bearer(key))).status == 200
        link = await gateway.request("POST", "/admin/api/users/1/link", headers=operator)
        browser = Browser(gateway)
        await browser.ask("POST", "/login/api/link", link=link.json["link"])
        made = await browser.ask(
            "POST", "/user/api/keys", name="laptop", models=["m*"], rpm=2, budget="0.5"
        )
        assert made.status == 201
        text = made.json["key"]
        assert (await gateway.post(chat_body(), **bearer(text))).status == 200
        (await browser.ask("POST", "/user/api/keys", name="x", scopes=["admin"])).error(
            403, "not_permitted"
        )
        (await browser.ask("POST", "/user/api/keys", name="x", rpm=0)).error(400, "invalid_request")
        listed = (await browser.ask("GET", "/user/api/keys?limit=1")).json
        [row] = listed["keys"]
        assert (row["name"], row["models"], row["budget"]) == ("laptop", ["m*"], "0.5")
        assert text not in json.dumps(listed)
        following = await browser.ask("GET", f"/user/api/keys?cursor={listed['next']}")
        assert [each["name"] for each in following.json["keys"]] == ["k"]
        rotated = await browser.ask("POST", f"/user/api/keys/{row['id']}/rotate")
        assert (await gateway.post(chat_body(), **bearer(text))).status == 401
        new = rotated.json["key"]
        assert (await gateway.post(chat_body(), **bearer(new))).status == 200
        gone = await browser.ask("DELETE", f"/user/api/keys/{rotated.json['id']}")
        assert gone.status == 200
        assert (await gateway.post(chat_body(), **bearer(new))).status == 401
        (await browser.ask("DELETE", "/user/api/keys/99")).error(404, "not_found")
        mine = await gateway.request("GET", "/user/api/me", headers=operator)
        mine.error(403, "not_permitted")


async def test_a_signup_is_moderated_and_tells_nothing(journal: Journal, at: Books) -> None:
    at.add(columns={"email": "known@x.org"})
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}
        asked = [
            await gateway.request(
                "POST",
                "/api/signup",
                data=json.dumps({"email": email, "name": "N", "reason": "why not"}),
            )
            for email in ("known@x.org", "new@x.org", "new@x.org")
        ]
        assert {(answer.status, answer.body) for answer in asked} == {
            (202, b'{"received":true}'),
        }
        page = await gateway.request("GET", "/admin/api/signups", headers=operator)
        [signup] = page.json["signups"]
        assert (signup["email"], signup["state"]) == ("new@x.org", "open")
        path = f"/admin/api/signups/{signup['id']}"
        made = await gateway.request("POST", f"{path}/accept", headers=operator)
        assert (made.status, made.json["tier"], made.json["balance"]) == (201, "payg", "0")
        again = await gateway.request("POST", f"{path}/reject", headers=operator)
        again.error(404, "not_found")
        every = await gateway.request("GET", "/admin/api/signups?state=any", headers=operator)
        [decided] = every.json["signups"]
        assert (decided["state"], decided["decider"]) == ("accepted", None)
        assert decided["decided_at"] >= decided["at"]
        more = [
            await gateway.request(
                "POST", "/api/signup", data=json.dumps({"email": "c@x.org", "name": "C"})
            )
            for _ in range(3)
        ]
        more[-1].error(429, "too_many_tries")


async def test_an_invite_gives_an_account_with_money(journal: Journal, at: Books) -> None:
    at.add(tier="admin", money=0)
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}
        made = await gateway.request(
            "POST",
            "/admin/api/invites",
            headers=operator,
            data=json.dumps({"tier": "payg", "amount": "3", "uses": 1}),
        )
        invite = made.json["invite"]
        browser = Browser(gateway)
        short = await browser.ask(
            "POST", "/login/api/invite", invite=invite, email="e@x.org", name="E", password="short"
        )
        short.error(400, "invalid_request")
        joined = await browser.ask(
            "POST", "/login/api/invite", invite=invite, email="e@x.org", name="E", password=PASSWORD
        )
        assert (joined.status, joined.json["account"]["balance"]) == (201, "3")
        listed = await gateway.request("GET", "/admin/api/invites", headers=operator)
        [used] = listed.json["invites"]
        assert (used["uses"], used["state"], used["maker"]) == (0, "accepted", None)
        [taker] = used["accepted"]
        assert (taker["name"], taker["at"] >= used["created_at"]) == ("E", True)
        assert invite not in listed.body.decode()


async def test_prices_have_a_history(journal: Journal, at: Books) -> None:
    key = at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}

        async def price(**fields: Any) -> Answer:
            return await gateway.request(
                "POST", "/admin/api/prices", headers=operator, data=json.dumps(fields)
            )

        made = await price(model="m", input="1", output="2.5")
        assert (made.status, made.json["cached"], made.json["output"]) == (201, "1", "2.5")
        (await price(model="m", input="-1", output="0")).error(400, "invalid_request")
        await price(model="m", input="0", output="0")
        listed = (await gateway.request("GET", "/admin/api/prices", headers=operator)).json
        assert [each["input"] for each in listed["prices"]] == ["0", "1"]
        before = at.balance()
        assert (await gateway.post(chat_body(), **bearer(key))).status == 200
        assert at.balance() == before == UNIT


async def test_a_ticket_opens_one_websocket(journal: Journal, at: Books) -> None:
    at.add(tier="sub", money=0)
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}
        link = await gateway.request("POST", "/admin/api/users/1/link", headers=operator)
        browser = Browser(gateway)
        await browser.ask("POST", "/login/api/link", link=link.json["link"])
        await browser.ask("POST", CHAT, **chat_body())
        # What an engine shows cannot act by the session.
        page = await browser.ask("GET", "/upstream/m/props")
        assert page.headers["Content-Security-Policy"].startswith("sandbox allow-downloads ")
        assert "allow-same-origin" not in page.headers["Content-Security-Policy"]
        ticket = (await browser.ask("POST", "/user/api/tickets")).json["ticket"]
        url = f"{gateway.url}/upstream/m/ws?ticket={ticket}"
        async with gateway.session.ws_connect(url) as socket:
            await socket.send_str("hello")
            assert (await socket.receive()).data == "hello"
        again = await gateway.session.get(
            url, headers={"Connection": "Upgrade", "Upgrade": "websocket"}
        )
        assert again.status == 401


async def test_the_key_of_a_blocked_admin_opens_nothing(journal: Journal, at: Books) -> None:
    key = at.add(tier="admin", money=0, scopes="inference read admin")
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        operator = {"X-Admin-Token": gateway.token}
        assert (await gateway.request("GET", "/admin/api/users", **bearer(key))).status == 200
        for status in ("blocked", "pending"):
            changed = json.dumps({"status": status})
            await gateway.request("PATCH", "/admin/api/users/1", headers=operator, data=changed)
            for path in ("/admin/api/users", "/user/api/me", "/running"):
                refused = await gateway.request("GET", path, **bearer(key))
                refused.error(403, "not_permitted")
                assert refused.json["error"]["message"] == f"The account is {status}."
            assert (await gateway.post(chat_body(), **bearer(key))).status == 403


async def test_a_login_by_a_provider(journal: Journal, at: Books) -> None:
    at.add(tier="admin", money=0, columns={"email": "boss@x.org"})
    model = fake_model(fake_variant(journal))
    async with provider() as serves:
        oidc = OidcTable(
            issuer=serves.issuer,
            client_id=CLIENT,
            client_secret=SECRET,
            tier="sub",
            domains=("x.org",),
        )
        async with charging_gateway(journal, model, at=at, accounts={"oidc": oidc}) as gateway:
            serves.claims = {"sub": "1", "email": "boss@x.org", "email_verified": True}
            boss = await logged_in(gateway, serves)
            session = (await boss.ask("GET", "/login/api/session")).json
            assert session["provider"] == URL(serves.issuer).host
            assert (await boss.ask("GET", "/user/api/me")).json["id"] == 1
            serves.claims = {"sub": "2", "email": "new@x.org", "email_verified": True}
            for _ in range(2):
                newcomer = await logged_in(gateway, serves)
                me = (await newcomer.ask("GET", "/user/api/me")).json
                assert (me["id"], me["tier"], me["email"]) == (2, "sub", "new@x.org")
            # Another person with the address of an account that has its own identity.
            for claims in (
                {"sub": "3", "email": "new@x.org", "email_verified": True},
                {"sub": "4", "email": "boss@x.org", "email_verified": False},
                {"sub": "5", "email": "x@elsewhere.org", "email_verified": True},
                {"sub": "1", "nonce": "of another login"},
            ):
                serves.claims = claims
                stranger = await logged_in(gateway, serves, status=401)
                assert (await stranger.ask("GET", "/user/api/me")).status == 401
            # Another browser must not end the login that this one began.
            victim, serves.claims = Browser(gateway), {"sub": "1"}
            begun = await victim.ask("GET", "/login/oidc", allow_redirects=False)
            back = serves.log_in(dict(URL(begun.headers["Location"]).query))
            other = await Browser(gateway).ask("GET", str(URL(back).relative()))
            other.error(401, "login_refused")


async def logged_in(gateway: Gateway, serves: Provider, status: int = 302) -> Browser:
    """Log in as who the provider says it is."""
    browser = Browser(gateway)
    begun = await browser.ask("GET", "/login/oidc", allow_redirects=False)
    back = serves.log_in(dict(URL(begun.headers["Location"]).query))
    ended = await browser.ask("GET", str(URL(back).relative()), allow_redirects=False)
    assert ended.status == status
    return browser
