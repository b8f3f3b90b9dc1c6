"""What pages in browsers may do: the gateway's names, and the origins of pages. Pure.

A page on the web can make its own name point to this machine (DNS rebinding): then its browser
takes the gateway for that page's own server and lets it read every answer. The ``Host`` header
still holds the page's name, so names that are not this machine's are refused on every path.

Pages that this very machine serves may read the answers; others are named in
``server.cors_origins``. No credentials are allowed: an API key travels in a header that the page
sets itself.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from utils.errors import BadRequest, HostRefused, OriginRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping


_NAME = re.compile(r"[a-z0-9._-]+")
_ANY = "*"
# By these, containers on this machine call it; no public name can end so.
_OF_CONTAINERS = frozenset({"host.docker.internal", "host.containers.internal"})
# So many different headers are remembered as good.
_REMEMBERED = 256
_PORT_DIGITS = 5
_HTTP_1_1 = (1, 1)
_SHOWN = 100
_LOOPBACK = re.compile(
    r"https?://(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
)
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_READING = ("GET", "HEAD", "OPTIONS")
_EXPOSED = (
    "X-Request-Id, X-Gateway-Variant, X-Gateway-Prompt-Tokens, X-Gateway-Fallback, Retry-After"
)
# A page of an engine runs as if it came from elsewhere: it cannot act for who is logged in.
APART = {
    "Content-Security-Policy": "sandbox allow-downloads allow-forms allow-popups allow-scripts"
}
# How long, in seconds, a browser need not ask again.
_MAX_AGE = "600"


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
        request is served, since browsers always name the host.
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


class Cors:
    """Decides for pages of loopback and of ``origins``; ``*`` among them means every page."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.lower() for origin in origins)

    def allows(self, origin: str) -> bool:
        """Return whether a page of this origin may read answers."""
        origin = origin.lower()
        return (
            "*" in self._origins
            or origin in self._origins
            or _LOOPBACK.fullmatch(origin) is not None
        )

    def headers(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that the browser of such a request needs in every answer."""
        origin = request.get("Origin")
        if origin is None:
            return {}
        if not self.allows(origin):
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
            "Vary": "Origin",
        }

    def refuse_work(self, method: str, request: Mapping[str, str], host: str | None = None) -> None:
        """Raise OriginRefused if a page of another origin asks for work.

        Browsers send simple requests without asking; that the page cannot read the answer
        does not undo them. A page that was fetched from this very address may do it. ``host`` is
        the name that a proxy was asked for, where the gateway has another.
        """
        origin = request.get("Origin")
        if origin is None or method in _READING or self.allows(origin):
            return
        if not _is_own(origin, request, host):
            raise OriginRefused(
                f"Pages of {origin} may not use this gateway (server.cors_origins)."
            )

    def refuse_admin(self, request: Mapping[str, str], host: str | None = None) -> None:
        """Raise OriginRefused if a page from elsewhere asks for an admin path, even to read it.

        Allowed are pages of this machine, pages from the gateway's own address, and those that
        ``cors_origins`` names (``*`` names none). All of them need a token as well.
        """
        origin = request.get("Origin")
        if origin is None:
            # A browser does not send Origin for an image and the like; it sends Sec-Fetch-Site.
            site, mode = request.get("Sec-Fetch-Site"), request.get("Sec-Fetch-Mode")
            if site == "cross-site" and mode != "navigate":
                raise OriginRefused("Pages from elsewhere may not use the admin paths.")
            return
        if _LOOPBACK.fullmatch(origin.lower()) is not None or _is_own(origin, request, host):
            return
        if origin.lower() not in self._origins:
            raise OriginRefused(f"Pages of {origin} may not use the admin paths.")

    def preflight(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that answer a preflight; raise OriginRefused if the page may not."""
        origin = request["Origin"]
        if not self.allows(origin):
            raise OriginRefused(
                f"Pages of {origin} may not use this gateway (server.cors_origins)."
            )
        answer = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
        if (wanted := request.get("Access-Control-Request-Headers")) is not None:
            answer["Access-Control-Allow-Headers"] = wanted
        if request.get("Access-Control-Request-Private-Network") == "true":
            # Asked when a page from outside turns to an address inside.
            answer["Access-Control-Allow-Private-Network"] = "true"
        return answer


def _is_own(origin: str, request: Mapping[str, str], host: str | None) -> bool:
    return origin.partition("://")[2] == (host or request.get("Host"))


def require_own_page(method: str, request: Mapping[str, str], host: str | None = None) -> None:
    """Raise OriginRefused if a page from elsewhere asks for something by the browser's cookie.

    Browsers say from where a request comes: in ``Sec-Fetch-Site``, over plain http in ``Origin``
    alone. Other programs send neither, and have no cookies of others. ``host`` is as in ``Cors``.
    """
    if method in _READING:
        return
    site = request.get("Sec-Fetch-Site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
    elif (origin := request.get("Origin")) is None or _is_own(origin, request, host):
        return
    raise OriginRefused("Only pages of the gateway itself may act for who is logged in.")


def is_preflight(method: str, request: Mapping[str, str]) -> bool:
    """Return whether a request is a preflight: a plain OPTIONS request is not."""
    return (
        method == "OPTIONS" and "Origin" in request and "Access-Control-Request-Method" in request
    )
