"""Sessions of pages in the database, and one-use links to begin one. Synchronous.

A token has 256 random bits, and its SHA-256 is kept, as of a key. A link is a row with the agent
``LINK``: it is exchanged for a session, once. Times are milliseconds since 1970.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, insert, select, update

from accounts.tables import SESSIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection

LINK = "(link)"
_HOUR = 3600 * 1000
_DAY = 24 * _HOUR
# A session ends when it is not used for so long, and always after its lifetime.
IDLE = 7 * _DAY
LIFETIME = 30 * _DAY
LINK_LIFETIME = 2 * _DAY
# Uses within this time are not written.
SEEN_EVERY = _HOUR


class SessionRow(NamedTuple):
    """A session; ``expires_at`` is the end of its lifetime."""

    digest: bytes
    account_id: int
    created_at: int
    seen_at: int
    expires_at: int
    agent: str | None

    def alive(self, now: int) -> bool:
        """Return whether it still counts as a session at this time."""
        return self.agent != LINK and now < self.expires_at and now < self.seen_at + IDLE

    @property
    def id(self) -> str:
        """The name under which its owner sees it; nobody can use it as a token."""
        return self.digest.hex()[:16]


def add_session(
    connection: Connection, digest: bytes, account: int, now: int, agent: str
) -> SessionRow:
    """Begin a session, and remove those that have ended; return it."""
    connection.execute(
        delete(SESSIONS).where((SESSIONS.c.expires_at <= now) | (SESSIONS.c.seen_at <= now - IDLE))
    )
    lifetime = LINK_LIFETIME if agent == LINK else LIFETIME
    row = SessionRow(digest, account, now, now, now + lifetime, agent[:200])
    connection.execute(insert(SESSIONS).values(row._asdict()))
    return row


def find_session(connection: Connection, digest: bytes) -> SessionRow | None:
    """Return the row with this digest, which may have ended or be a link."""
    row = connection.execute(select(SESSIONS).where(SESSIONS.c.digest == digest)).one_or_none()
    return None if row is None else SessionRow(*row)


def sessions_of(connection: Connection, account: int, now: int) -> list[SessionRow]:
    """Return the sessions of an account, the last used first."""
    of = SESSIONS.c.account_id == account
    rows = connection.execute(select(SESSIONS).where(of).order_by(SESSIONS.c.seen_at.desc()))
    return [row for each in rows if (row := SessionRow(*each)).alive(now)]


def saw_session(connection: Connection, digest: bytes, now: int) -> None:
    """Note that a session was used."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest).values(seen_at=now))


def end_sessions(connection: Connection, account: int, *, but: bytes | None = None) -> int:
    """End all sessions and links of an account but this one; return how many."""
    where: Any = SESSIONS.c.account_id == account
    if but is not None:
        where &= SESSIONS.c.digest != but
    return connection.execute(delete(SESSIONS).where(where)).rowcount


def end_session(connection: Connection, digest: bytes) -> bool:
    """End one session; return False if it has ended before."""
    return bool(connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == digest)).rowcount)


def use_link(connection: Connection, digest: bytes, now: int) -> int | None:
    """Use up a link; return its account, or None if it is none, used or too old."""
    gone = (
        delete(SESSIONS)
        .where(SESSIONS.c.digest == digest, SESSIONS.c.agent == LINK)
        .returning(SESSIONS.c.account_id, SESSIONS.c.expires_at)
    )
    row = connection.execute(gone).one_or_none()
    return None if row is None or row.expires_at <= now else int(row.account_id)
