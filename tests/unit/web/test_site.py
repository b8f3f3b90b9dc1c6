"""web/site.py: pages that are asked for again each time, assets that are kept for ever."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from web.site import Site

if TYPE_CHECKING:
    from pathlib import Path

SITE = Site()
DIGEST = SITE.read().digest
GZIP = {"Accept-Encoding": "br, gzip"}
BUDGET = 200_000
DASHBOARD, BUDGET_OF_DASHBOARD = "user/index.html", 60_000


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert not site.is_read
    assert site.read().assets == {}
    assert site.is_read


def test_a_page_is_checked_each_time_and_runs_only_its_own_code() -> None:
    answer = SITE.page("landing/index", GZIP)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Frame-Options"] == "DENY"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    again = SITE.page("landing/index", {"If-None-Match": f'"x", {answer.headers["ETag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Content-Security-Policy"] == policy
    assert SITE.page("landing/index", {"If-None-Match": '"x"'}).status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_what_the_browser_can_read_is_compressed(accepted: str, packed: bool) -> None:
    headers = {"Accept-Encoding": accepted} if accepted else {}
    answer = SITE.asset(f"{DIGEST}/css/base.css", headers)
    assert answer is not None
    assert (answer.headers.get("Content-Encoding") == "gzip") == packed
    body = gzip.decompress(answer.body) if packed else answer.body
    assert b":root" in body


def test_an_asset_is_kept_for_ever_and_has_no_other_address() -> None:
    answer = SITE.asset(f"{DIGEST}/lib/page.js", {})
    assert answer is not None
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("0/lib/page.js", "lib/page.js", f"{DIGEST}/", f"{DIGEST}/landing/index.html", ""):
        assert SITE.asset(path, {}) is None
    assert SITE.asset(f"{DIGEST}/../web/site.py", {}) is None


@pytest.mark.parametrize("name", sorted(SITE.read().pages))
def test_every_page_finds_its_assets_and_is_within_the_budget(name: str) -> None:
    files = SITE.read()
    page = files.pages[name]
    text = page.body.decode()
    assert "{" not in text
    assert "style=" not in text
    total = len(page.packed)
    for part in text.split(f'"/assets/{files.digest}/')[1:]:
        total += len(files.assets[part.partition('"')[0]].packed)
    assert total < (BUDGET_OF_DASHBOARD if name == DASHBOARD else BUDGET)
