"""server/hosts.py: the names by which the gateway may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.hosts import Hosts, host_of
from utils.errors import BadRequest, HostRefused

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
