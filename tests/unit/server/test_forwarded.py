"""server/forwarded.py: whose word about the client counts."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from server.forwarded import Origin, Proxies

TRUSTED = Proxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
NGINX = "10.0.0.2"


def told(remote: str | None, *headers: tuple[str, str]) -> Origin | None:
    return TRUSTED.origin(remote, CIMultiDictProxy(CIMultiDict(headers)))


def test_nobody_else_is_heard() -> None:
    header = ("X-Forwarded-For", "192.0.2.7")
    assert told("192.0.2.1", header) is None
    assert told(None, header) is None
    assert told("unix", header) is None
    assert told(NGINX) is None


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        # What the client itself has sent stands before what the proxy adds.
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.1.1.1", "192.0.2.7"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("192.0.2.7, unknown", NGINX),
        ("192.0.2.7, _hidden, 10.1.1.1", "10.1.1.1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_trusted_proxy(hops: str, client: str) -> None:
    assert told(NGINX, ("X-Forwarded-For", hops)) == Origin(client)
    quoted = ", ".join(f'For="{each.strip()}"' for each in hops.split(","))
    assert told(NGINX, ("Forwarded", quoted)) == Origin(client)


def test_a_proxy_may_be_known_by_ipv4_in_ipv6() -> None:
    assert told("::ffff:127.0.0.1", ("X-Forwarded-For", "192.0.2.7")) == Origin("192.0.2.7")


def test_scheme_and_host_are_those_of_the_nearest_proxy() -> None:
    found = told(
        NGINX,
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example, llm.example"),
    )
    assert found == Origin("192.0.2.7", "https", "llm.example")
    line = 'for=198.51.100.1;host="a,b;c", for=192.0.2.7; proto=wss;host="llm.example:443"'
    assert told(NGINX, ("Forwarded", line.replace("; ", ";"))) == Origin(
        "192.0.2.7", "https", "llm.example:443"
    )
    assert told(NGINX, ("X-Forwarded-Proto", "gopher")) == Origin(NGINX)


def test_two_headers_that_differ_tell_nothing() -> None:
    usual, standard = ("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")
    assert told(NGINX, usual, standard) == Origin("192.0.2.7")
    assert told(NGINX, usual, ("Forwarded", "for=203.0.113.9")) is None
    assert told(NGINX, usual, ("Forwarded", 'for="192.0.2.7')) is None
