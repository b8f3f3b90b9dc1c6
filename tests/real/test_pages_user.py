"""The pages of people with accounts in Chromium, on the bundled engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from browser import all_faults, faults, visit
from oidc_provider import CLIENT, SECRET, Provider, provider_in_a_thread
from operator_calls import operated
from playground_steps import answers, ask
from playwright.sync_api import expect
from real_engines import ENGINES, gateway, lua_config, lua_model, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Route
    from real_engines import Gateway


# Bob's password.
SECOND = "another good one"


@pytest.fixture(scope="module")
def person() -> Iterator[Provider]:
    with provider_in_a_thread() as serves:
        yield serves


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, person: Provider
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("people")
    config = lua_config(folder, lua_model("smol", ENGINES["bundled"], (512,), file=tiny))
    oidc = f'issuer = "{person.issuer}", client_id = "{CLIENT}", client_secret = "{SECRET}"'
    own = f'accounts = {{ oidc = {{ {oidc}, tier = "sub", domains = {{ "x.org" }} }} }}\n'
    with gateway(folder, config + own) as running:
        yield running


def test_a_click_logs_in_by_the_provider(
    browser: Browser, served: Gateway, person: Provider
) -> None:
    person.claims = {"sub": "7", "email": "eve@x.org", "email_verified": True, "name": "Eve"}
    with visit(browser, served.url, expected=person.issuer, locale="de-DE") as page:
        page.goto("/user/")
        expect(page.get_by_text("Sie sind nicht angemeldet.", exact=True)).to_be_visible()
        assert faults(page) == []
        page.get_by_role("link", name="Anmelden", exact=True).click()
        page.get_by_role("link", name="Mit 127.0.0.1 anmelden", exact=True).click()
        expect(page.get_by_role("heading", name="Eve", exact=True)).to_be_visible()
        expect(page.get_by_text("Noch nichts verbraucht.", exact=True)).to_be_visible()
        assert all_faults(page, "user-new") == []
        page.goto("/")
        page.get_by_role("link", name="Ihr Konto", exact=True).click()
        page.get_by_role("button", name="Abmelden", exact=True).click()
        # Who the provider says it is has no account here.
        person.claims = {"sub": "8", "email": "mal@y.org", "email_verified": True}
        page.get_by_role("link", name="Mit 127.0.0.1 anmelden", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("abgelehnt")
        assert faults(page) == []


def test_from_a_signup_to_the_usage_of_a_key(browser: Browser, served: Gateway) -> None:
    until(lambda: any("/login#invite=" in each for each in served.log))
    [invite] = [each.split()[-1] for each in served.log if "/login#invite=" in each]
    with visit(browser, served.url) as page:
        page.goto(invite)
        page.get_by_label("E-mail address").fill("admin@example.org")
        page.get_by_label("Name").fill("Ada")
        page.get_by_label("Password").fill("correct horse battery")
        assert all_faults(page, "login-invite") == []
        page.get_by_role("button", name="Make the account", exact=True).click()
        # An admin's session opens the page for operators.
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        admin = page.context.storage_state()
    with visit(browser, served.url) as page:
        page.goto("/")
        page.get_by_role("link", name="Ask for access", exact=True).click()
        page.get_by_label("E-mail address").fill("bob@example.org")
        page.get_by_label("Name").fill("Bob")
        page.get_by_label("What for").fill("To try it")
        page.get_by_role("button", name="Ask for access", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("was received")
        assert all_faults(page, "login-asked") == []
        with visit(browser, served.url, storage_state=admin) as office:
            office.goto("/admin/#people")
            office.get_by_role("button", name="Accept Bob", exact=True).click()
            link = office.locator("code", has_text="/login#link=").inner_text()
            office.get_by_label("Amount for Bob").fill("5")
            office.get_by_role("button", name="Book it for Bob", exact=True).click()
            expect(office.get_by_role("row", name="bob@example.org")).to_contain_text("5.00")
            assert all_faults(office, "admin-people", "#tab") == []
        operated(served, "/admin/api/prices", {"model": "smol", "input": "1", "output": "1000"})
        page.goto(link)
        page.get_by_label("Password").fill(SECOND)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Bob")).to_be_visible()
        page.get_by_label("Name of a new key").fill("laptop")
        page.get_by_text("Rights and limits of the key", exact=True).click()
        page.get_by_label("Models, such as qwen3-*", exact=True).fill("smol")
        page.get_by_label("Requests a minute", exact=True).fill("60")
        page.get_by_label("Last day", exact=True).fill("2099-12-31")
        page.get_by_role("button", name="Make a key", exact=True).click()
        key = page.locator("code", has_text="sk-gw-").inner_text()
        body = {
            "model": "smol",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        operated(served, "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
        page.reload()
        expect(page.get_by_role("region", name="Usage of")).to_contain_text("smol")
        keys = page.get_by_role("region", name="API keys", exact=True)
        expect(keys.get_by_role("row").last).to_contain_text("smol · 60 requests a minute")
        page.get_by_role("combobox", name="By", exact=True).select_option("key")
        expect(page.locator(".legend")).to_have_text("laptop")
        expect(page.get_by_role("region", name="Now")).to_contain_text("4.99")
        assert all_faults(page, "user") == []
        ask_page = page.context.new_page()
        ask_page.goto("/playground/?model=smol")
        ask(ask_page, "By the session", tokens=2)
        expect(answers(ask_page)).to_contain_text("2 tokens")
        expect(answers(ask_page)).to_contain_text(re.compile(r"cost 0\.00\d* credits"))
        page.get_by_role("button", name="Replace laptop", exact=True).click()
        expect(page.get_by_text("It is not shown again", exact=False)).to_be_visible()
        expect(page.locator("code", has_text="sk-gw-")).not_to_have_text(key)
        # As much as is shown of a key: the list is the new one, and so are its buttons.
        expect(keys.get_by_role("row").last).not_to_contain_text(key[:12])
        page.get_by_role("button", name="Revoke laptop", exact=True).click()
        expect(page.get_by_text("No key yet", exact=False)).to_be_visible()
        # Somebody else has the password.
        operated(served, "/login/api/login", {"email": "bob@example.org", "password": SECOND})
        page.reload()
        sessions = page.get_by_role("region", name="Sessions", exact=True).get_by_role("row")
        expect(sessions).to_have_count(3)
        page.get_by_role("button", name="End all others", exact=True).click()
        expect(sessions).to_have_count(2)
        expect(sessions.last).to_contain_text("this one")
        with page.expect_download() as usage:
            page.get_by_role("link", name="Download as CSV", exact=True).click()
        assert "smol" in usage.value.path().read_text()
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    with visit(browser, served.url, storage_state=admin, expected="status of") as page:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/user/api/me", hold)
        with page.expect_request("**/user/api/me"):
            page.goto("/user/")
        expect(page.locator(".bones")).to_be_visible()
        assert all_faults(page, "user-waits") == []
        held[0].fulfill(status=500, json={"error": {"message": "It failed."}})
        expect(page.get_by_text("It failed.", exact=True)).to_be_visible()
        assert all_faults(page, "user-failed") == []
        page.unroute("**/user/api/me", hold)
        page.get_by_role("button", name="Try again", exact=True).click()
        expect(page.get_by_role("heading", name="Ada", exact=True)).to_be_visible()
        page.context.clear_cookies()
        page.goto("/login")
        page.get_by_label("E-mail address").fill("bob@example.org")
        page.get_by_label("Password").fill("not the right one")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert all_faults(page, "login-wrong") == []
