"""Read accounts, keys and prices as they are now, for the memory of a gateway. Synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select, update

from accounts.tables import ACCOUNTS, API_KEYS, PRICES, STATE

if TYPE_CHECKING:
    from sqlalchemy import Connection

_REVISION = "revision"


class Snapshot(NamedTuple):
    """Rows of the database, those of prices in the order in which they became valid."""

    revision: int
    accounts: list[dict[str, Any]]
    keys: list[dict[str, Any]]
    prices: list[dict[str, Any]]


def revision(connection: Connection) -> int:
    """Return the number that grows with each change of accounts, keys or prices."""
    where = STATE.c.name == _REVISION
    return int(connection.execute(select(STATE.c.value).where(where)).scalar_one())


def changed(connection: Connection) -> None:
    """Note a change of accounts, keys or prices, in the transaction that makes it."""
    where = STATE.c.name == _REVISION
    connection.execute(update(STATE).where(where).values(value=STATE.c.value + 1))


def snapshot(connection: Connection) -> Snapshot:
    """Return what is there now; of the keys, those that are not revoked."""
    # Read first: a change that comes meanwhile is then read once more.
    number = revision(connection)
    keys = select(API_KEYS).where(API_KEYS.c.revoked_at.is_(None))
    rows = [
        [dict(row) for row in connection.execute(each).mappings()]
        for each in (select(ACCOUNTS), keys, select(PRICES).order_by(PRICES.c.valid_from))
    ]
    return Snapshot(number, *rows)
