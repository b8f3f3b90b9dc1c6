"""``Grants``: how a browser becomes an operator's, without a password. Pure but for randomness.

A link that is good once leads to the admin page; for it the page gets a grant, which it sends as
``X-Admin-Token``. The page keeps the grant for its own tab. It is no cookie: neither a page of
another origin nor one that an engine serves at this origin can act by it. A grant is signed with
the token that the gateway made for itself, so it outlives a restart; who makes a new token ends
all grants.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = "page"
# Seconds.
LIFETIME = 7 * 24 * 3600
# So many links are good at the same time.
_LINKS = 8


class Grants:
    """Makes links and grants; ``secret`` tells the gateway's own token, ``now`` the time of day."""

    def __init__(self, secret: Callable[[], str], now: Callable[[], float]) -> None:
        self._secret = secret
        self._now = now
        # Until when each link is good, by its digest.
        self._links: dict[bytes, float] = {}

    def link(self, seconds: float) -> str:
        """Return a new token for a link, which is good once and for so many seconds."""
        token = secrets.token_urlsafe(32)
        while len(self._links) >= _LINKS:
            del self._links[next(iter(self._links))]
        self._links[_digest(token)] = self._now() + seconds
        return token

    def redeem(self, token: str) -> str | None:
        """Return a grant for a link's token, and end that link; None if it is not good any more."""
        until = self._links.pop(_digest(token), None)
        if until is None or until < self._now() or not self._secret():
            return None
        return self._signed(str(int(self._now() + LIFETIME)))

    def admits(self, token: str) -> bool:
        """Return whether the token is a grant that has not expired."""
        prefix, _, rest = token.partition(".")
        expires = rest.partition(".")[0]
        if prefix != _PREFIX or not self._secret() or not (expires.isascii() and expires.isdigit()):
            return False
        offered = token.encode("utf-8", "surrogateescape")
        signed = hmac.compare_digest(offered, self._signed(expires).encode())
        return signed and int(expires) > self._now()

    def _signed(self, expires: str) -> str:
        key, told = self._secret().encode(), f"{_PREFIX}.{expires}"
        return f"{told}.{hmac.new(key, told.encode(), hashlib.sha256).hexdigest()}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
