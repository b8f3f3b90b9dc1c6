"""The page for operators in Chromium, on the bundled engine."""

from __future__ import annotations

import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from browser import PHONE, all_faults, faults, visit
from hub_thread import HubThread, hub_for
from operator_calls import admin_link
from playwright.sync_api import expect
from real_engines import ADMIN, ENGINES, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from real_engines import Gateway

# Those of a gateway without accounts.
TABS = 6


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
    with gateway(folder, lua_config(folder, ", ".join(models))) as running:
        yield running


class Asking(threading.Thread):
    """A client whose request has no end of its own. ``heard`` is its answer, once it has one."""

    def __init__(self, served: Gateway, model: str) -> None:
        super().__init__(daemon=True)
        messages = [{"role": "user", "content": "Without end"}]
        body = {"model": model, "max_tokens": 8000, "stream": True, "messages": messages}
        self._order = urllib.request.Request(
            f"{served.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        self.heard = ""
        self.start()

    def run(self) -> None:
        try:
            with urllib.request.urlopen(self._order) as answer:
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
        page.get_by_role("tab", name="Requests", exact=True).click()
        client = Asking(served, "b")
        page.get_by_role("button", name="Cancel request").first.click()
        client.join()
        assert "An operator cancelled this request." in client.heard
        ended_rows = page.get_by_role("region", name="Ended", exact=True).get_by_role("row")
        expect(ended_rows.nth(1)).to_contain_text("RequestCancelled")
        ended_rows.nth(1).get_by_role("link").click()
        timeline = page.get_by_role("dialog", name=re.compile("^Request "))
        expect(timeline.get_by_role("list", name="Where its time went", exact=True)).to_be_visible()
        expect(timeline).to_contain_text("An operator cancelled it.")
        assert all_faults(page, "admin-request") == []
        timeline.get_by_role("button", name="Its lines in the log", exact=True).click()
        log = page.get_by_role("region", name="Log", exact=True)
        expect(log).to_contain_text("RequestCancelled")
        page.get_by_role("tab", name="Requests", exact=True).click()
        page.get_by_label("Reason", exact=True).fill("stop")
        page.get_by_label("Reason", exact=True).press("Tab")
        expect(page).to_have_url(re.compile("reason=stop"))
        page.get_by_role("tab", name="Log", exact=True).click()
        page.get_by_label("Only lines with").fill("a@512 ready")
        expect(page.get_by_role("region", name="Log", exact=True)).to_contain_text("ready after")
    with visit(browser, served.url, expected="401") as page:
        page.goto(link)
        expect(page.get_by_role("heading", name="Operators only", exact=True)).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("used already")
        page.get_by_label("Or enter the admin token").fill(ADMIN["X-Admin-Token"])
        page.keyboard.press("Enter")
        expect(page.get_by_text("live", exact=True)).to_be_visible()


def test_the_page_comes_back_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    config = lua_config(tmp_path, lua_model("m", ENGINES["bundled"], (512,)))
    with gateway(tmp_path, config) as first:
        link, url = admin_link(first), first.url
        page = browser.new_page(locale="en-US")
        page.goto(link)
        expect(page.get_by_text("live", exact=True)).to_be_visible()
    expect(page.get_by_text("connecting…", exact=True)).to_be_visible()
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
        assert faults(page) == []
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
        assert faults(page) == []
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
        assert all_faults(page, "admin-configuration") == []
        assert "more" in models_of(served)


def models_of(served: Gateway) -> list[str]:
    with urllib.request.urlopen(f"{served.url}/v1/models") as answer:
        return [each["id"] for each in json.load(answer)["data"]]


@pytest.mark.parametrize(
    "visitor",
    [
        pytest.param({"color_scheme": "light"}, id="light"),
        pytest.param({"color_scheme": "dark", "locale": "de-DE", **PHONE}, id="dark phone"),
    ],
)
def test_everybody_can_use_every_tab(
    browser: Browser, served: Gateway, visitor: dict[str, Any]
) -> None:
    with visit(browser, served.url, **visitor) as page:
        page.goto(admin_link(served))
        tabs = page.get_by_role("tab")
        expect(tabs).to_have_count(TABS)
        for index in range(TABS):
            tabs.nth(index).click()
            expect(page.get_by_role("tabpanel").get_by_role("heading").first).to_be_visible()
            assert faults(page) == []
