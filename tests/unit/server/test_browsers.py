"""server/browsers.py: the names by which the gateway may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.browsers import Cors, Hosts, host_of, is_preflight
from utils.errors import BadRequest, HostRefused, OriginRefused

OWN = frozenset({"box", "box.local", "192.168.1.5", "fd00::5"})


def require(
    *authorities: str, names: tuple[str, ...] = (), version: tuple[int, int] = (1, 1)
) -> None:
    hosts = Hosts(names)
    for _ in range(2):  # what was found good is remembered
        hosts.require(authorities, version, lambda: OWN)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:7777", "localhost"),
        ("a.b.:80", "a.b"),
        ("a.b:", "a.b"),
        (" a ", "a"),
        ("127.0.0.1:7777", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:7777", "::1"),
        ("[0:0:0:0:0:0:0:1]:7777", "::1"),
        ("[FD00::5]", "fd00::5"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("under_score", "under_score"),
        ("", None),
        (".", None),
        (":80", None),
        ("::1", None),
        ("[::1", None),
        ("::1]", None),
        ("[localhost]", None),
        ("[127.0.0.1]", None),
        ("a:b", None),
        ("a:123456", None),
        ("a:-1", None),
        ("a:٣", None),
        ("a b", None),
        ("evil.example@localhost", None),
        ("evil.example/.localhost", None),
        ("evil.example#.localhost", None),
        ("[::1]evil.example", None),
    ],
)
def test_the_host_in_a_header(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


@given(st.text(max_size=40))
def test_any_header_can_be_read(authority: str) -> None:
    host_of(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "localhost:7777",
        "LOCALHOST",
        "localhost.",
        "ui.localhost:80",
        "127.0.0.1:7777",
        "127.9.9.9",
        "[::1]:7777",
        "box:7777",
        "Box.Local",
        "192.168.1.5:7777",
        "[fd00::5]:7777",
        "host.docker.internal:7777",
        "host.containers.internal",
    ],
)
def test_names_and_addresses_of_this_machine_are_served(authority: str) -> None:
    require(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "evil.example",
        "evil.example:7777",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
        "box.evil.example",
        "10.9.8.7",
        "[fd00::6]",
        "0.0.0.0",
        "2130706433",
        "127.1",
        "",
    ],
)
def test_other_names_and_addresses_are_refused(authority: str) -> None:
    with pytest.raises(HostRefused, match=r"server\.hosts"):
        require(authority)


@pytest.mark.parametrize(
    ("names", "authority"),
    [
        (("llm.example.com",), "LLM.example.com:443"),
        (("LLM.Example.com.",), "llm.example.com"),
        (("10.9.8.7",), "10.9.8.7:80"),
        (("fd00:0::6",), "[fd00::6]:80"),
        (("*",), "evil.example"),
    ],
)
def test_names_in_the_configuration_are_served(names: tuple[str, ...], authority: str) -> None:
    require(authority, names=names)
    with pytest.raises(HostRefused):
        require(authority)


def test_a_name_does_not_open_those_below_it() -> None:
    with pytest.raises(HostRefused):
        require("x.llm.example.com", names=("llm.example.com",))


def test_each_of_several_names_must_be_served() -> None:
    with pytest.raises(HostRefused):
        require("localhost", "evil.example")
    with pytest.raises(HostRefused):
        require("evil.example", "localhost")


def test_only_old_clients_may_give_none() -> None:
    require(version=(1, 0))
    with pytest.raises(BadRequest, match="no Host header"):
        require()


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
