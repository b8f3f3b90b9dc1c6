"""By which names the gateway may be asked. Pure.

A page on the web can make its own name point to this machine (DNS rebinding): then its browser
takes the gateway for that page's own server and lets it read every answer. The ``Host`` header
still holds the page's name, so names that are not this machine's are refused on every path.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from utils.errors import BadRequest, HostRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

_NAME = re.compile(r"[a-z0-9._-]+")
_ANY = "*"
# By these, containers on this machine call it; no public name can end so.
_OF_CONTAINERS = frozenset({"host.docker.internal", "host.containers.internal"})
# So many different headers are remembered as good.
_REMEMBERED = 256
_PORT_DIGITS = 5
_HTTP_1_1 = (1, 1)
_SHOWN = 100


def host_of(authority: str) -> str | None:
    """Return the host of a ``Host`` header, in lower case and without port; None if it has none.

    Addresses come back as they are commonly written, IPv6 without brackets and zone, and an IPv4
    address in IPv6 as IPv4.
    """
    host, bracket, port = authority.strip().lower().rpartition("]")
    if bracket:
        if not host.startswith("[") or ":" not in host:
            return None
        host = host[1:].partition("%")[0]
    else:
        host, colon, port = port.partition(":")
        port = colon + port
    if port and not (port[0] == ":" and len(port) - 1 <= _PORT_DIGITS and _is_number(port[1:])):
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return host if not bracket and _NAME.fullmatch(host := host.removesuffix(".")) else None
    if isinstance(address, IPv6Address):
        if not bracket:
            return None
        return str(address.ipv4_mapped or address)
    return str(address)


class Hosts:
    """Decides whether the gateway is served by a name.

    Served are loopback names and addresses, ``named`` (``server.hosts``; ``*``: every name), and
    the names and addresses of this machine.
    """

    def __init__(self, named: Iterable[str]) -> None:
        self._named = _OF_CONTAINERS | {_written(name) for name in named}
        # Headers that were found good, so that most requests need no parsing.
        self._good: set[str] = set()

    def require(
        self,
        authorities: Iterable[str],
        version: tuple[int, int],
        own: Callable[[], Container[str]],
    ) -> None:
        """Raise HostRefused unless each of the names that a request gives is served.

        ``own`` tells the names and addresses of this machine, as ``host_of`` writes them.
        BadRequest where HTTP/1.1 gives none (RFC 9112, 3.2). HTTP/1.0 may give none: such a
        request is served, since browsers always say whom they ask.
        """
        given = False
        for authority in authorities:
            given = True
            if authority not in self._good and _ANY not in self._named:
                self._learn(authority, own)
        if not given and version >= _HTTP_1_1:
            raise BadRequest("The request has no Host header.")

    def _learn(self, authority: str, own: Callable[[], Container[str]]) -> None:
        host = host_of(authority)
        if host is None or not (_is_loopback(host) or host in self._named or host in own()):
            raise HostRefused(
                f"The gateway is not served as {authority[:_SHOWN]!r}. Name it in server.hosts"
                " if clients call this machine so."
            )
        if len(self._good) < _REMEMBERED:
            self._good.add(authority)


def _written(name: str) -> str:
    return host_of(f"[{name}]" if name.count(":") > 1 else name) or name


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    return (text.isascii() and text.isdecimal()) or not text
