"""The cookie of a session, and which requests may act by it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.browsers import require_own_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.middleware import RequestContext

# The browser takes the first only over https, and lets no other host set it.
_SAFE, _PLAIN = "__Host-gw", "gw"
_ATTRIBUTES = "Path=/; HttpOnly; SameSite=Lax"
_LIFETIME = 30 * 24 * 3600


def token_in(headers: Mapping[str, str]) -> str | None:
    """Return the token of the session in a request, or None."""
    found: dict[str, str] = {}
    for part in headers.get("Cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found.get(_SAFE) or found.get(_PLAIN) or None


def keep(token: str, *, https: bool) -> str:
    """Return the ``Set-Cookie`` that makes the browser keep the token."""
    return f"{_named(token, https=https)}; Max-Age={_LIFETIME}"


def forget(*, https: bool) -> str:
    """Return the ``Set-Cookie`` that makes the browser forget it."""
    return f"{_named('', https=https)}; Max-Age=0"


def require_own(ctx: RequestContext, method: str | None = None) -> None:
    """Return if a page of the gateway itself, or no page, asks; OriginRefused otherwise.

    ``method`` is that of the request unless given.
    """
    host = None if ctx.origin is None else ctx.origin.host
    require_own_page(method or ctx.request.method, ctx.request.headers, host)


def is_https(ctx: RequestContext) -> bool:
    """Return whether the browser came by https, perhaps to a proxy."""
    told = None if ctx.origin is None else ctx.origin.scheme
    return (told or ctx.request.scheme) == "https"


def _named(token: str, *, https: bool) -> str:
    return (
        f"{_SAFE}={token}; Secure; {_ATTRIBUTES}" if https else f"{_PLAIN}={token}; {_ATTRIBUTES}"
    )
