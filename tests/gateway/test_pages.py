"""The pages for browsers, by the whole gateway."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

from gateway import fake_model, fake_variant, running_gateway

if TYPE_CHECKING:
    from fake_engine import Journal

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def test_browsers_get_pages_and_programs_what_they_got(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        ask = gateway.request
        # The files are read for the first of them.
        pages = await asyncio.gather(*(ask("GET", "/", headers=BROWSER) for _ in range(3)))
        for page in pages:
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert page.headers["Vary"] == "Accept, Accept-Encoding"
        assert (await ask("GET", "/")).json["object"] == "gateway"
        ollama = await ask("GET", "/", headers={"User-Agent": "ollama/1"})
        assert ollama.body.startswith(b"Ollama")
        playground = await ask("GET", "/playground", headers=BROWSER)
        assert playground.status == 200
        both = pages[0].body + playground.body
        for address in re.findall(r'"(/assets/[^"]+)"', both.decode()):
            asset = await ask("GET", address)
            assert asset.status == 200, address
            assert "immutable" in asset.headers["Cache-Control"]
        tag = {**BROWSER, "If-None-Match": pages[0].headers["ETag"]}
        assert (await ask("GET", "/", headers=tag)).status == 304
        assert (await ask("HEAD", "/", headers=BROWSER)).body == b""
        (await ask("GET", "/assets/0/lib/page.js")).error(404, "unknown_path")


async def test_a_link_opens_the_admin_paths_once_and_without_a_cookie(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        ask = gateway.request
        page = await ask("GET", "/admin/", headers=BROWSER)
        assert page.status == 200
        (await ask("POST", "/admin/links", headers={})).error(401, "admin_token_required")
        link = (await ask("POST", "/admin/links")).json["url"]
        token = json.dumps({"link": link.partition("#link=")[2]})
        answer = await ask("POST", "/login/admin", data=token)
        assert "Set-Cookie" not in answer.headers
        headers = {"X-Admin-Token": answer.json["token"]}
        assert (await ask("GET", "/running", headers=headers)).status == 200
        (await ask("POST", "/login/admin", data=token)).error(401, "admin_token_required")
        wrong = {"X-Admin-Token": answer.json["token"][:-1]}
        (await ask("GET", "/running", headers=wrong)).error(401, "admin_token_required")
