"""Which pages in browsers may read the gateway's answers. Pure.

Pages that this very machine serves may; others are named in ``server.cors_origins``. No
credentials are allowed: an API key travels in a header that the page sets itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from utils.errors import OriginRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multidict import CIMultiDict

_LOOPBACK = re.compile(
    r"https?://(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
)
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_READING = ("GET", "HEAD", "OPTIONS")
_EXPOSED = (
    "X-Request-Id, X-Gateway-Variant, X-Gateway-Prompt-Tokens, X-Gateway-Fallback, Retry-After"
)
# How long, in seconds, a browser need not ask again.
_MAX_AGE = "600"


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

    def refuse_work(self, method: str, request: Mapping[str, str]) -> None:
        """Raise OriginRefused if a page of another origin asks for work.

        Browsers send simple requests without asking; that the page cannot read the answer
        does not undo them. A page that was fetched from this very address may do it.
        """
        origin = request.get("Origin")
        if origin is None or method in _READING or self.allows(origin):
            return
        if not _is_own(origin, request):
            raise OriginRefused(
                f"Pages of {origin} may not use this gateway (server.cors_origins)."
            )

    def refuse_admin(self, request: Mapping[str, str]) -> None:
        """Raise OriginRefused if a page from elsewhere asks for an admin path, even to read it.

        Pages of this machine may, those that came from the gateway's own address, and those that
        ``cors_origins`` names; ``*`` names nobody. All of them need a token as well.
        """
        origin = request.get("Origin")
        if origin is None:
            # What a page embeds without asking, such as an image, says where it comes from.
            site, mode = request.get("Sec-Fetch-Site"), request.get("Sec-Fetch-Mode")
            if site == "cross-site" and mode != "navigate":
                raise OriginRefused("Pages from elsewhere may not use the admin paths.")
            return
        if _LOOPBACK.fullmatch(origin.lower()) is not None or _is_own(origin, request):
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


def _is_own(origin: str, request: Mapping[str, str]) -> bool:
    return origin.partition("://")[2] == request.get("Host")


def is_preflight(method: str, request: Mapping[str, str]) -> bool:
    """Return whether a request is a preflight: a plain OPTIONS request is not."""
    return (
        method == "OPTIONS" and "Origin" in request and "Access-Control-Request-Method" in request
    )


def add(headers: CIMultiDict[str], cors: Mapping[str, str]) -> None:
    """Add ``cors`` to the headers of a response; ``Vary`` beside what it says already."""
    for name, value in cors.items():
        if name == "Vary":
            headers.add(name, value)
        else:
            headers[name] = value
