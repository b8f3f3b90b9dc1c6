"""Where a request came from, as the proxies in front of the gateway tell it. Pure.

Only the headers of proxies in ``server.trusted_proxies`` count: anybody can write such headers.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from multidict import CIMultiDictProxy

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# name=value or name="value"; the quoted value may hold any separator.
_PAIR = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))')
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')


class Origin(NamedTuple):
    """The client's address, and scheme and host of its URL; None for what no proxy told."""

    address: str
    scheme: str | None = None
    host: str | None = None


class Proxies:
    """The proxies that the gateway trusts, by address or network."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(ip_network(each, strict=False) for each in trusted)

    def origin(self, remote: str | None, headers: CIMultiDictProxy[str]) -> Origin | None:
        """Return what ``remote``, the other end of the connection, tells of the client.

        None if it is no trusted proxy, or tells nothing. ``X-Forwarded-For`` and ``Forwarded`` that
        name different clients tell nothing: a proxy sets one of them, and passes on the other from
        its client.
        """
        if remote is None or not self._trusts(remote):
            return None
        usual = self._usual(remote, headers)
        standard = self._standard(remote, headers)
        if usual is None or standard is None:
            return usual or standard
        return usual if usual.address == standard.address else None

    def _usual(self, remote: str, headers: CIMultiDictProxy[str]) -> Origin | None:
        hops = _words(headers.getall("X-Forwarded-For", ()))
        schemes = _words(headers.getall("X-Forwarded-Proto", ()))
        hosts = _words(headers.getall("X-Forwarded-Host", ()))
        if not (hops or schemes or hosts):
            return None
        # The last word is that of the proxy at the other end of the connection.
        scheme = _SCHEMES.get(schemes[-1].lower()) if schemes else None
        return Origin(self._client(remote, hops), scheme, hosts[-1] if hosts else None)

    def _standard(self, remote: str, headers: CIMultiDictProxy[str]) -> Origin | None:
        """Return what ``Forwarded`` tells (RFC 7239)."""
        elements = [
            _pairs(each) for each in _ELEMENT.findall(",".join(headers.getall("Forwarded", ())))
        ]
        if not elements:
            return None
        hops = [each.get("for", "") for each in elements]
        last = elements[-1]
        scheme = _SCHEMES.get(last.get("proto", "").lower())
        return Origin(self._client(remote, hops), scheme, last.get("host"))

    def _client(self, remote: str, hops: list[str]) -> str:
        """Return the last hop that is no trusted proxy, or the furthest one that is known."""
        client = remote
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _trusts(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._trusted)


def _words(lines: Iterable[str]) -> list[str]:
    return [word for line in lines for each in line.split(",") if (word := each.strip())]


def _pairs(element: str) -> dict[str, str]:
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PAIR.findall(element)
    }


def _address(hop: str) -> str | None:
    """Return the address of a hop, which may have a port; None if it is hidden or no address."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    address = _parsed(hop)
    return None if address is None else str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
