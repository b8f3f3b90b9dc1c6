"""Book what a gateway has left that broke off, and release what it holds. Synchronous.

What it has settled is in its backlog. Of its other requests nobody knows what became of their
answers, so these cost nothing; a row in ``usage`` tells of each. Run again, there is nothing left
to release.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from accounts.store.booking import book
from accounts.store.rows import Settlement
from accounts.store.writer import ALIVE, GROUP, boot_number
from accounts.tables import ACCOUNTS, HOLDS, USAGE
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection, Engine

    from accounts.store.rows import Hold


_log = get_logger("accounts")
# Of the holds of a backlog: nobody's, so they are released at once.
_NOBODY = "0"


def rebook(engine: Engine, rows: Sequence[Hold | Settlement]) -> None:
    """Book the rows of a backlog, those that the database does not have already.

    A row that the database can never take is told in the log. Holds are released by ``release``.
    """
    settled = {row.request_id for row in rows if isinstance(row, Settlement)}
    wanted = [row for row in rows if isinstance(row, Settlement) or row.request_id not in settled]
    for start in range(0, len(wanted), GROUP):
        group = wanted[start : start + GROUP]
        try:
            _rebook(engine, group)
        except _OF_ROWS:
            for row in group:
                try:
                    _rebook(engine, [row])
                except _OF_ROWS as error:
                    _log.error("a row of the accounts cannot be written: %r", row, exc_info=error)


_OF_ROWS = (IntegrityError, DataError, ProgrammingError)


def _rebook(engine: Engine, rows: Sequence[Hold | Settlement]) -> None:
    with engine.begin() as connection:
        book(connection, _NOBODY, rows, again=True)


def dead_boots(connection: Connection, own: str) -> list[str]:
    """Return the boots that hold money and do not run any more.

    With PostgreSQL, others may run: each has a lock there. SQLite is used by one gateway at a time.
    """
    found = select(HOLDS.c.boot_id).where(HOLDS.c.boot_id != own).distinct()
    boots = list(connection.execute(found).scalars())
    if connection.dialect.name != "postgresql":
        return boots
    free = text("SELECT pg_try_advisory_xact_lock(:alive, :boot)")
    return [
        boot
        for boot in boots
        if connection.execute(free, {"alive": ALIVE, "boot": boot_number(boot)}).scalar()
    ]


def release(connection: Connection, boots: Collection[str], now: int) -> int:
    """Release what these boots hold; return how many requests that were. ``now`` is in ms."""
    if not boots:
        return 0
    gone = delete(HOLDS).where(HOLDS.c.boot_id.in_(boots)).returning(*HOLDS.c)
    holds = [row._mapping for row in connection.execute(gone)]  # noqa: SLF001 - SQLAlchemy's name
    if not holds:
        return 0
    freed: defaultdict[int, int] = defaultdict(int)
    rows: list[dict[str, Any]] = []
    for each in holds:
        freed[each["account_id"]] += each["amount"]
        same = {name: each[name] for name in _SAME}
        rows.append({**same, **_CRASHED, "at": now})
    connection.execute(insert(USAGE), rows)
    change = (
        update(ACCOUNTS)
        .where(ACCOUNTS.c.id == bindparam("account"))
        .values(held=ACCOUNTS.c.held - bindparam("freed"))
    )
    changes = [{"account": account, "freed": freed[account]} for account in sorted(freed)]
    connection.execute(change, changes)
    return len(holds)


_SAME = ("request_id", "account_id", "key_id", "key_name", "model", "path")
_CRASHED: dict[str, Any] = {
    "ended": "crashed",
    "streamed": False,
    "prompt": 0,
    "cached": 0,
    "completion": 0,
    "counted": "gateway",
    "cost": 0,
}
