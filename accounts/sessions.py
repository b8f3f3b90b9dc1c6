"""``Sessions``: who uses pages in a browser, and one-use tickets for their websockets.

The sessions that were used lately are in memory. A session that another gateway ended, on the same
database, is forgotten within ``_FRESH``.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.admission import ACTIVE
from accounts.keys import SCOPES, digest_of
from accounts.parties import Key
from accounts.store.sessions import (
    LINK,
    SEEN_EVERY,
    SessionRow,
    add_session,
    end_session,
    end_sessions,
    find_session,
    saw_session,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.book import Book
    from accounts.patience import PatientAccounts

_FRESH = 10_000
_ROOM = 10_000
_BYTES = 32
# Seconds that a ticket is good for.
TICKET = 30.0
_TICKETS = 1000


@dataclass(slots=True, eq=False)
class _Known:
    """A session in memory; ``read_at`` is when the database told of it. None: there is none."""

    row: SessionRow | None
    read_at: int


class Sessions:
    """Begins, finds and ends sessions; ``wall`` returns milliseconds since 1970."""

    def __init__(self, accounts: PatientAccounts, wall: Callable[[], int] | None = None) -> None:
        self._accounts = accounts
        self._wall = wall or _now
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        # By digest: the account, and the monotonic time at which the ticket expires.
        self._tickets: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    async def begin(self, account: int, agent: str) -> str:
        """Begin a session of the account; return its token, which is kept nowhere."""
        token = secrets.token_urlsafe(_BYTES)
        digest, now = digest_of(token), self._wall()
        agent = "-" if agent == LINK else agent
        row = await self._accounts.write(lambda c: add_session(c, digest, account, now, agent))
        self._remember(digest, row)
        return token

    async def link(self, account: int) -> str:
        """Return a token that begins one session of the account, once."""
        token = secrets.token_urlsafe(_BYTES)
        digest, now = digest_of(token), self._wall()
        await self._accounts.write(lambda c: add_session(c, digest, account, now, LINK))
        return token

    async def find(self, token: str) -> SessionRow | None:
        """Return the session with this token, and note that it is used; None without one."""
        digest, now = digest_of(token), self._wall()
        known = self._known.get(digest)
        # Also not fresh where the clock was set back since.
        if known is None or not 0 <= now - known.read_at <= _FRESH:
            known = self._remember(
                digest, await self._accounts.read(lambda c: find_session(c, digest))
            )
        row = known.row
        if row is None or not row.alive(now):
            return None
        if now - row.seen_at >= SEEN_EVERY:
            known.row = row._replace(seen_at=now)
            await self._accounts.write(lambda c: saw_session(c, digest, now))
        return known.row

    async def end(self, digest: bytes) -> bool:
        """End the session; return False if it has ended before."""
        try:
            return await self._accounts.write(lambda c: end_session(c, digest))
        finally:
            # Afterwards: a request that comes meanwhile may have read it once more.
            self._known.pop(digest, None)

    async def end_all(self, account: int, *, but: bytes | None = None) -> int:
        """End all sessions of the account but this one; return how many."""
        try:
            return await self._accounts.write(lambda c: end_sessions(c, account, but=but))
        finally:
            self._known.clear()

    def _remember(self, digest: bytes, row: SessionRow | None) -> _Known:
        known = self._known[digest] = _Known(row, self._wall())
        self._known.move_to_end(digest)
        while len(self._known) > _ROOM:
            self._known.popitem(last=False)
        return known

    # -- tickets ---------------------------------------------------------------------

    def ticket(self, account: int) -> str:
        """Return a ticket that opens one websocket for the account, soon."""
        token = secrets.token_urlsafe(_BYTES)
        self._tickets[digest_of(token)] = account, time.monotonic() + TICKET
        while len(self._tickets) > _TICKETS:
            self._tickets.popitem(last=False)
        return token

    def redeem(self, ticket: str) -> int | None:
        """Use up a ticket; return its account, or None if it is none, used or too old."""
        account, until = self._tickets.pop(digest_of(ticket), (None, 0.0))
        return account if time.monotonic() < until else None


def visitor_of(book: Book, account: int) -> Key | None:
    """Return who asks by a session or a ticket; None if the account is gone or not active.

    What it asks for counts in the limits of the account, and its owner may do all that the account
    may.
    """
    found = book.accounts.get(account)
    if found is None or found.status != ACTIVE:
        return None
    return Key(None, found, "session", "", frozenset(SCOPES))


def _now() -> int:
    return time.time_ns() // 1_000_000
