"""The page for operators in Chromium, on the bundled engine."""

from __future__ import annotations

import http.client
import json
import re
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from browser import PHONE, faults, visit
from operator_calls import admin_link
from playwright.sync_api import expect
from real_engines import ADMIN, ENGINES, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from real_engines import Gateway


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("admin")
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
        with urllib.request.urlopen(self._order) as answer:
            try:
                self.heard = answer.read().decode()
            except http.client.IncompleteRead as error:
                self.heard = error.partial.decode()


def test_an_operator_sees_loads_unloads_and_cancels(browser: Browser, served: Gateway) -> None:
    link = admin_link(served)
    with visit(browser, served.url) as page:
        page.goto(link)
        page.get_by_role("button", name="Load a", exact=True).click()
        engine = page.get_by_role("row", name="a@512")
        expect(engine).to_contain_text("ready")
        page.get_by_role("button", name="Unload a@512", exact=True).click()
        expect(engine).to_be_hidden()
        page.get_by_role("tab", name="Requests", exact=True).click()
        client = Asking(served, "b")
        page.get_by_role("button", name="Cancel request").first.click()
        client.join()
        assert "An operator cancelled this request." in client.heard
        ended_rows = page.get_by_role("region", name="Ended", exact=True).get_by_role("row")
        expect(ended_rows.nth(1)).to_contain_text("RequestCancelled")
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
        expect(tabs).to_have_count(3)
        for index in range(3):
            tabs.nth(index).click()
            expect(page.get_by_role("tabpanel").get_by_role("heading").first).to_be_visible()
            assert faults(page) == []
