"""Allow the admin paths only to clients that send a token.

Requests from this machine need one too: behind a reverse proxy all requests come from this
machine, and many proxies add no header that tells them apart. ``server.admin_token`` is one
token; the gateway makes the other, see ``server/admin/own_token.py``.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from utils.errors import NotAuthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from utils.config.settings import ServerSettings


def require_admin(headers: Mapping[str, str], settings: ServerSettings) -> None:
    """Return if a request with these headers is an admin's, else raise NotAuthenticated."""
    require_token(headers, filter(None, (settings.admin_token, settings.own_token)))


def require_token(headers: Mapping[str, str], tokens: Iterable[str]) -> None:
    """Return if Authorization (Bearer) or X-Admin-Token holds one of ``tokens``.

    Raises NotAuthenticated otherwise.
    """
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    offered = [headers.get("X-Admin-Token", "")]
    if scheme.lower() == "bearer":
        offered.append(bearer.strip())
    # All are compared, in constant time, so that the time tells nothing about a token.
    found = [
        hmac.compare_digest(_raw(each), token.encode()) for token in tokens for each in offered
    ]
    if not any(found):
        raise NotAuthenticated(
            "This path needs the admin token, as 'Authorization: Bearer …' or 'X-Admin-Token': "
            "server.admin_token, or the content of the file admin-token in state_dir."
        )


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
