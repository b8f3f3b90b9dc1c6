"""Who may use the admin paths: whoever has ``server.admin_token``; without one, this machine."""

from __future__ import annotations

import hmac
import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from utils.errors import AdminRefused, NotAuthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from utils.config.settings import ServerSettings

_LOOPBACK_HOST = re.compile(
    r"(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])\.?(?::\d{1,5})?",
    re.IGNORECASE,
)
# What proxies add: behind one, every peer looks as if it came from this machine.
_PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
_SET_IT = "Set server.admin_token to use the admin paths from elsewhere."


def require_admin(request: web.BaseRequest, settings: ServerSettings) -> None:
    """Nothing, for those who may; NotAuthenticated or AdminRefused says what is missing."""
    token = settings.admin_token
    if token is not None:
        require_token(request.headers, token)
    else:
        require_loopback(request.headers, request.remote)


def require_token(headers: Mapping[str, str], token: str) -> None:
    """NotAuthenticated unless Authorization (Bearer) or X-Admin-Token holds ``token``."""
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    offered = [headers.get("X-Admin-Token", "")]
    if scheme.lower() == "bearer":
        offered.append(bearer.strip())
    wanted = token.encode()
    # Compared in a time that tells nothing of the token.
    if not any(hmac.compare_digest(_raw(each), wanted) for each in offered):
        raise NotAuthenticated(
            "This path needs server.admin_token, as 'Authorization: Bearer …' or 'X-Admin-Token'."
        )


def require_loopback(headers: Mapping[str, str], peer: str | None) -> None:
    """AdminRefused unless the request was made on this machine, to this machine by its name.

    The name matters: a page on the web may make its own name point to 127.0.0.1.
    """
    if not _is_loopback(peer):
        raise AdminRefused(f"Without a token only this machine may use this path. {_SET_IT}")
    proxy = next((name for name in _PROXIED if name in headers), None)
    if proxy is not None:
        raise AdminRefused(f"This request came through a proxy ({proxy}). {_SET_IT}")
    if _LOOPBACK_HOST.fullmatch(headers.get("Host", "")) is None:
        raise AdminRefused(f"This path is served at localhost only. {_SET_IT}")


def _is_loopback(peer: str | None) -> bool:
    try:
        address = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
