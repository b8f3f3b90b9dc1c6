"""The page for operators in Chromium, on the bundled engine."""

from __future__ import annotations

import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from browser import DIALOG, PHONE, all_faults, faults, pictured, visit
from hub_thread import HubThread, hub_for
from operator_calls import admin_link, operated
from playwright.sync_api import expect
from real_engines import ADMIN, ENGINES, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route
    from real_engines import Gateway

# The part of the page that a tab shows.
TAB = "#tab"
TABS = ("Overview", "Models", "Requests", "Why", "People", "Configuration", "Log")
# What lists answer where there is nothing, by path.
NOTHING: dict[str, Any] = {
    "/admin/models": {"models": [], "served": [], "problems": {}},
    "/admin/pulls": {"pulls": []},
    "/admin/config": {"file": None, "tables": []},
    "/admin/api/requests": {"requests": [], "next": None},
    "/admin/api/why": {"decisions": []},
    "/admin/api/users": {"users": [], "next": None},
    "/admin/api/signups": {"signups": [], "next": None},
    "/admin/api/invites": {"invites": [], "next": None},
    "/admin/api/keys": {"keys": [], "next": None},
    "/admin/api/prices": {"prices": [], "next": None},
    "/admin/api/audit": {"audit": [], "next": None},
}
# The tabs in German, and what each says then.
EMPTY = {
    "Modelle": "Auf diesem Rechner wurde kein Modell gefunden.",
    "Anfragen": "Keine passende Anfrage ist beendet.",
    "Warum": "Keine Engine hat geendet, keine Anfrage wurde abgelehnt.",
    "Personen": "Niemand wartet.",
    "Verlauf": "Es gab keine Einladung.",
    "Schlüssel": "Noch keine Schlüssel.",
    "Preise": "Hier sind keine Preise gesetzt.",
    "Änderungen": "Nichts Passendes wurde geändert.",
    "Konfiguration": "Keine Einstellung hat diese Wörter.",
    "Protokoll": "Die neuesten Zeilen, wie sie kommen.",
    "Überblick": "Tokens pro Sekunde",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    with (
        pytest.MonkeyPatch.context() as patch,
        hub_for(tmp_path_factory.mktemp("home"), patch) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, hub: HubThread
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("admin")
    assert hub.is_alive()
    models = [lua_model(name, ENGINES["bundled"], (512, 8192), file=tiny) for name in ("a", "b")]
    accounts = 'accounts = { currency = "EUR" }\n'
    with gateway(folder, lua_config(folder, ", ".join(models)) + accounts) as running:
        yield running


class Asking(threading.Thread):
    """A client whose request has no end of its own: until ``go_on`` it does not read.

    ``heard`` is its answer, once it has one.
    """

    def __init__(self, served: Gateway, model: str) -> None:
        super().__init__(daemon=True)
        messages = [{"role": "user", "content": "Without end"}]
        body = {"model": model, "max_tokens": 8000, "stream": True, "messages": messages}
        self._order = urllib.request.Request(
            f"{served.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **ADMIN},
        )
        self.heard = ""
        self.go_on = threading.Event()
        self.start()

    def run(self) -> None:
        try:
            with urllib.request.urlopen(self._order) as answer:
                self.go_on.wait()
                self.heard = answer.read().decode()
        except http.client.IncompleteRead as error:
            self.heard = error.partial.decode()
        except urllib.error.HTTPError as error:
            # It was cancelled before its stream began.
            self.heard = error.read().decode()


def test_an_operator_sees_loads_unloads_and_cancels(browser: Browser, served: Gateway) -> None:
    link = admin_link(served)
    with visit(browser, served.url) as page:
        page.goto(link)
        page.get_by_role("button", name="Load a", exact=True).click()
        engine = page.get_by_role("row", name="a@512")
        expect(engine).to_contain_text("ready")
        pin = page.get_by_role("button", name="Pin a", exact=True)
        pin.click()
        expect(pin).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Unload a@512", exact=True).click()
        expect(engine).to_be_hidden()
        page.get_by_role("tab", name="Why", exact=True).click()
        why = page.get_by_role("tabpanel").get_by_role("row", name="a@512").first
        expect(why).to_contain_text("An operator unloaded a@512.")
        page.get_by_role("tab", name="Overview", exact=True).click()
        client = Asking(served, "b")
        expect(page.get_by_role("button", name="Cancel request").first).to_be_visible()
        # The charts get a point each second.
        pictured(page, "admin-busy", 5000)
        page.get_by_role("button", name="Cancel request").first.click()
        client.go_on.set()
        client.join()
        assert "An operator cancelled this request." in client.heard
        page.get_by_role("tab", name="Requests", exact=True).click()
        ended_rows = page.get_by_role("region", name="Ended", exact=True).get_by_role("row")
        expect(ended_rows.nth(1)).to_contain_text("RequestCancelled")
        ended_rows.nth(1).get_by_role("link").click()
        timeline = page.get_by_role("dialog", name=re.compile("^Request "))
        expect(timeline.get_by_role("list", name="Where its time went", exact=True)).to_be_visible()
        expect(timeline).to_contain_text("An operator cancelled it.")
        assert all_faults(page, "admin-request", DIALOG) == []
        timeline.get_by_role("button", name="Its lines in the log", exact=True).click()
        log = page.get_by_role("region", name="Log", exact=True)
        expect(log).to_contain_text("RequestCancelled")
        page.get_by_role("tab", name="Requests", exact=True).click()
        page.get_by_label("Reason", exact=True).fill("stop")
        page.get_by_label("Reason", exact=True).press("Tab")
        expect(page).to_have_url(re.compile("reason=stop"))
        unknown = {"model": "nope", "messages": [{"role": "user", "content": "Hi"}]}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            operated(served, "/v1/chat/completions", unknown)
        page.get_by_role("tab", name="Why", exact=True).click()
        refused = page.get_by_role("tabpanel").get_by_role("row", name="'nope' does not exist")
        expect(refused).to_contain_text("The model is not there.")
        refused.get_by_role("link").click()
        expect(timeline).to_contain_text("The model 'nope' does not exist.")
        timeline.get_by_role("button", name="Its decisions under Why", exact=True).click()
        expect(page).to_have_url(re.compile("[?&]why=[^&]+#why$"))
        expect(page.get_by_role("tabpanel").get_by_role("row")).to_have_count(2)
        page.get_by_role("tab", name="Log", exact=True).click()
        page.get_by_label("Only lines with").fill("a@512 ready")
        expect(page.get_by_role("region", name="Log", exact=True)).to_contain_text("ready after")
    with visit(browser, served.url, expected="401") as page:
        page.goto(link)
        expect(page.get_by_role("heading", name="Operators only", exact=True)).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("used already")
        assert all_faults(page, "admin-door") == []
        page.get_by_label("Or enter the admin token").fill(ADMIN["X-Admin-Token"])
        page.keyboard.press("Enter")
        expect(page.get_by_text("live", exact=True)).to_be_visible()


def test_the_page_comes_back_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    config = lua_config(tmp_path, lua_model("m", ENGINES["bundled"], (512,)))
    with gateway(tmp_path, config) as first:
        link, url = admin_link(first), first.url
        page = browser.new_page(locale="en-US", reduced_motion="reduce")
        page.goto(link)
        expect(page.get_by_text("live", exact=True)).to_be_visible()
    expect(page.get_by_text("connecting…", exact=True)).to_be_visible()
    assert faults(page) == []
    with gateway(tmp_path, config) as second:
        assert second.url == url
        expect(page.get_by_text("live", exact=True)).to_be_visible()
    page.close()


def test_a_model_is_found_fetched_paused_and_deleted(
    browser: Browser, served: Gateway, hub: HubThread, tiny: Path
) -> None:
    # Long enough that half of it is seen as progress.
    content = tiny.read_bytes() + bytes(8 << 20)
    hub.hub.put("org/small-GGUF", "small-Q8_0.gguf", content)
    name = "org/small-GGUF:Q8_0"
    with visit(browser, served.url) as page:
        page.goto(f"{admin_link(served)}")
        page.get_by_role("tab", name="Models", exact=True).click()
        expect(page.get_by_text("No model was found on this machine.")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("small")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Files of org/small-GGUF", exact=True).click()
        files = page.get_by_role("region", name="Models of org/small-GGUF", exact=True)
        expect(files).to_contain_text("fits")
        hub.hub.fault("hold", len(content) // 2)
        page.get_by_role("button", name=f"Fetch {name}", exact=True).click()
        row = page.get_by_role("region", name="Downloads", exact=True).get_by_role("row", name=name)
        expect(row.get_by_role("progressbar")).to_have_attribute("value", re.compile("^[1-9]"))
        row.get_by_role("button", name=f"Pause {name}", exact=True).click()
        expect(row).to_contain_text("paused")
        assert faults(page, TAB) == []
        hub.go_on()
        row.get_by_role("button", name=f"Resume {name}", exact=True).click()
        expect(row).to_contain_text("done")
        row.get_by_role("button", name=f"Clear {name} from the list", exact=True).click()
        expect(page.get_by_text("Nothing was fetched")).to_be_visible()
        page.get_by_role("button", name=re.compile("^Delete .*small")).click()
        page.get_by_role("button", name=re.compile("Really[?]$")).click()
        expect(page.get_by_text("No model was found on this machine.")).to_be_visible()


def test_the_configuration_is_checked_before_it_counts(
    browser: Browser, tmp_path: Path, tiny: Path
) -> None:
    model = lua_model("a", ENGINES["bundled"], (512,), file=tiny)
    config = lua_config(tmp_path, model)
    file = tmp_path / "gateway.cfg.lua"
    with gateway(tmp_path, config) as served, visit(browser, served.url, expected="400") as page:
        page.goto(admin_link(served))
        page.get_by_role("tab", name="Configuration", exact=True).click()
        check = page.get_by_role("button", name="Check the file", exact=True)
        told = page.get_by_role("tabpanel").get_by_role("status").first
        check.click()
        expect(told).to_contain_text("Nothing would change")
        more = lua_model("more", ENGINES["bundled"], (512,), file=tiny)
        file.write_text(f"{config}models[2] = {more}\n")
        check.click()
        expect(told).to_contain_text("added more")
        assert "more" not in models_of(served)
        assert faults(page, TAB) == []
        file.write_text(f"{config}models[1].variants = 5\n")
        page.get_by_role("button", name="Reload it", exact=True).click()
        expect(told).to_contain_text("models[1].variants")
        file.write_text(f"{config}models[2] = {more}\n")
        page.get_by_role("button", name="Reload it", exact=True).click()
        expect(told).to_contain_text("The file was loaded.")
        page.get_by_label("Name or value", exact=True).fill("state_dir")
        settings = page.get_by_role("region", name="Settings of server", exact=True)
        expect(settings.get_by_role("row").last).to_contain_text("gateway.cfg.lua:1")
        page.get_by_label("Only what is set", exact=True).check()
        page.get_by_label("Name or value", exact=True).fill("token")
        expect(settings).to_contain_text("•••")
        assert all_faults(page, "admin-configuration", TAB) == []
        assert "more" in models_of(served)


def models_of(served: Gateway) -> list[str]:
    with urllib.request.urlopen(f"{served.url}/v1/models") as answer:
        return [each["id"] for each in json.load(answer)["data"]]


def test_everybody_can_use_every_tab(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url) as page:
        page.goto(admin_link(served))
        expect(page.get_by_role("tab")).to_have_count(len(TABS))
        for name in TABS:
            page.get_by_role("tab", name=name, exact=True).click()
            panel = page.locator(TAB)
            expect(panel.get_by_role("heading").first).to_be_visible()
            expect(panel.get_by_role("status", name="connecting…", exact=True)).to_have_count(0)
            if name == "Models":
                # Estimated from its file, as it is for models that were found.
                planned = panel.get_by_role("row", name="a@512").get_by_role("cell").nth(5)
                expect(planned).to_contain_text("MiB")
            if name == "Configuration":
                page.get_by_label("Only what is set", exact=True).check()
            # What is around the tabs is the same for all.
            within = None if name == TABS[0] else TAB
            assert all_faults(page, f"admin-{name.lower()}", within) == []
        page.keyboard.press("Control+k")
        expect(page.get_by_role("option", name="Requests Operation", exact=True)).to_be_visible()
        assert all_faults(page, "admin-palette", DIALOG) == []
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard", exact=True)).to_be_visible()
        assert all_faults(page, "admin-keys", DIALOG) == []


def test_the_books_of_accounts(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url) as page:
        user = {"name": "Kay", "email": "kay@example.org", "tier": "payg", "balance": "2.5"}
        account = operated(served, "/admin/api/users", user)["id"]
        operated(served, "/admin/api/keys", {"account": account, "name": "laptop"})
        asked = {"email": "max@example.org", "name": "Max", "reason": "To sell it"}
        operated(served, "/api/signup", asked)
        page.goto(f"{admin_link(served)}")
        page.get_by_role("tab", name="People", exact=True).click()
        expect(page.get_by_role("row", name="kay@example.org")).to_contain_text("€2.50")
        page.get_by_label("Name or e-mail address", exact=True).fill("nobody")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No account has this name or address.")).to_be_visible()
        page.get_by_role("button", name="Reject Max", exact=True).click()
        expect(page.get_by_role("button", name="Reject Max", exact=True)).to_be_hidden()
        page.get_by_role("button", name="Make an invite", exact=True).click()
        expect(page.get_by_role("heading", name="Link for an invite", exact=True)).to_be_visible()
        page.get_by_role("tab", name="History", exact=True).click()
        row = page.get_by_role("row", name="max@example.org")
        expect(row).to_contain_text(re.compile("refused.*operator"))
        invites = page.get_by_role("region", name="Invites", exact=True)
        expect(invites.get_by_role("row").nth(1)).to_contain_text("open")
        assert all_faults(page, "admin-history", TAB) == []
        page.get_by_role("tab", name="Keys", exact=True).click()
        key = page.get_by_role("row", name="laptop")
        assert all_faults(page, "admin-account-keys", TAB) == []
        key.get_by_role("button", name="Revoke laptop", exact=True).click()
        key.get_by_role("button", name=re.compile("Really[?]$")).click()
        expect(key).to_contain_text("revoked")
        page.get_by_role("tab", name="Prices", exact=True).click()
        for label, value in (("Model", "qwen"), ("Input", "0.5"), ("Output", "1.25")):
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Set the price", exact=True).click()
        expect(page.get_by_role("row", name="qwen")).to_contain_text("€1.25")
        expect(page.get_by_text("In EUR, for a million tokens.")).to_be_visible()
        assert all_faults(page, "admin-prices", TAB) == []
        page.get_by_role("tab", name="Audit", exact=True).click()
        page.get_by_label("Action", exact=True).fill("price.set")
        page.keyboard.press("Enter")
        changes = page.get_by_role("region", name="What was changed", exact=True)
        expect(changes.get_by_role("row")).to_have_count(2)
        expect(changes.get_by_role("row").last).to_contain_text("operator")
        expect(changes.get_by_role("row").last).to_contain_text("output €1.25")
        assert all_faults(page, "admin-audit", TAB) == []


class Lists:
    """Answers for the gateway's lists, in a browser's page: as ``mode`` says."""

    def __init__(self, page: Page) -> None:
        self.mode = "waits"
        self._held: list[Route] = []
        page.route(lambda url: urlsplit(url).path in NOTHING, self._answer)

    def _answer(self, route: Route) -> None:
        if self.mode == "waits":
            self._held.append(route)
        elif self.mode == "fails":
            route.fulfill(status=500, json={"error": {"message": "Broken", "code": "internal"}})
        else:
            route.fulfill(json=NOTHING[urlsplit(route.request.url).path])

    def answer(self, mode: str) -> None:
        """Answer all that waits, and what comes later, in this mode."""
        self.mode = mode
        while self._held:
            self._answer(self._held.pop())


def test_each_tab_waits_is_empty_and_fails_in_german(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url, expected="500", locale="de-DE", **PHONE) as page:
        lists = Lists(page)
        page.goto(admin_link(served))
        panel = page.locator(TAB)
        for name, said in EMPTY.items():
            page.get_by_role("tab", name=name, exact=True).click()
            if name not in ("Überblick", "Protokoll"):
                # Only the parts of a tab that ask for something wait.
                expect(panel.get_by_role("status", name="verbindet…").first).to_be_visible()
            if name == "Modelle":
                assert faults(page, TAB) == []
            lists.answer("is empty")
            expect(panel).to_contain_text(said)
            assert faults(page, TAB) == []
            lists.mode = "waits"
        lists.answer("fails")
        page.get_by_role("tab", name="Warum", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("Broken")
        assert faults(page) == []
        lists.mode = "is empty"
        page.get_by_role("button", name="Noch einmal", exact=True).click()
        expect(panel).to_contain_text(EMPTY["Warum"])
        expect(page.get_by_role("alert")).to_have_count(0)
