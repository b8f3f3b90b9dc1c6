"""server/cors.py: which pages in browsers may read the gateway's answers."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from server.cors import Cors, add, is_preflight
from utils.errors import OriginRefused

OUTSIDE = "https://chat.example.com"


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://LocalHost:3000",
        "http://app.localhost:1",
        "http://127.0.0.1:8080",
        "http://127.1.2.3",
        "http://[::1]:8080",
    ],
)
def test_this_machine_s_own_pages_may(origin: str) -> None:
    assert Cors(()).allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "file://",
        OUTSIDE,
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://example.com/localhost",
        "http://notlocalhost",
        "http://user@localhost",
        "ftp://localhost",
        "http://localhost:3000\nx",
        "http://128.0.0.1",
        "http://192.168.1.5",
    ],
)
def test_others_may_not(origin: str) -> None:
    assert not Cors(()).allows(origin)


def test_configured_origins_may() -> None:
    cors = Cors((OUTSIDE,))
    assert cors.allows(OUTSIDE)
    assert cors.allows(OUTSIDE.upper())
    assert not cors.allows(f"{OUTSIDE}:444")
    assert cors.allows("http://localhost")
    assert Cors(("*",)).allows("null")


def test_what_answers_carry() -> None:
    cors = Cors(())
    assert cors.headers({}) == {}
    assert cors.headers({"Origin": OUTSIDE}) == {"Vary": "Origin"}
    carried = cors.headers({"Origin": "http://localhost:3"})
    assert carried["Access-Control-Allow-Origin"] == "http://localhost:3"
    assert "X-Gateway-Variant" in carried["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in carried


def test_permission_before_a_request() -> None:
    asked = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    answer = Cors(()).preflight(asked)
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Headers" not in answer
    assert "Access-Control-Allow-Private-Network" not in answer
    more = asked | {
        "Access-Control-Request-Headers": "authorization, x-a",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = Cors(()).preflight(more)
    assert answer["Access-Control-Allow-Headers"] == "authorization, x-a"
    assert answer["Access-Control-Allow-Private-Network"] == "true"
    with pytest.raises(OriginRefused, match=r"server\.cors_origins"):
        Cors(()).preflight(asked | {"Origin": OUTSIDE})


@pytest.mark.parametrize(
    ("method", "headers", "told"),
    [
        ("OPTIONS", {"Origin": "x", "Access-Control-Request-Method": "POST"}, True),
        ("OPTIONS", {"Origin": "x"}, False),
        ("OPTIONS", {"Access-Control-Request-Method": "POST"}, False),
        ("POST", {"Origin": "x", "Access-Control-Request-Method": "POST"}, False),
    ],
)
def test_what_asks_for_permission(method: str, headers: dict[str, str], told: bool) -> None:
    assert is_preflight(method, headers) is told


def test_what_varies_already_still_does() -> None:
    headers = CIMultiDict({"Vary": "Accept", "X": "1"})
    add(headers, {"Vary": "Origin", "X": "2"})
    assert list(headers.items()) == [("Vary", "Accept"), ("X", "2"), ("Vary", "Origin")]


@pytest.mark.parametrize(
    ("method", "headers", "refused"),
    [
        ("POST", {}, False),
        ("POST", {"Origin": "http://localhost:3000"}, False),
        ("GET", {"Origin": "https://evil.example"}, False),
        ("POST", {"Origin": "https://evil.example", "Host": "127.0.0.1:7777"}, True),
        ("DELETE", {"Origin": "null"}, True),
        ("POST", {"Origin": "http://nas:7777", "Host": "nas:7777"}, False),
    ],
)
def test_work_for_a_stranger_s_page(method: str, headers: dict[str, str], *, refused: bool) -> None:
    cors = Cors(())
    if not refused:
        cors.refuse_work(method, headers)
        return
    with pytest.raises(OriginRefused, match="cors_origins"):
        cors.refuse_work(method, headers)
