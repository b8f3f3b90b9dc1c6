"""Check the books, and remove what is too old, a little at a time. Synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, or_, select

from accounts.tables import ACCOUNTS, AUDIT, HOLDS, LEDGER, USAGE

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Subquery, Table

# Rows that are removed in one transaction.
_SOME = 1000


class Difference(NamedTuple):
    """An account whose balance or held money is not what its rows add up to; nano-units."""

    account: int
    balance: int
    ledger: int
    held: int
    holds: int


def verify(connection: Connection) -> list[Difference]:
    """Return the accounts that are wrong: none of them, if all is well."""
    ledger = _sum(LEDGER.c.account_id, LEDGER.c.amount)
    holds = _sum(HOLDS.c.account_id, HOLDS.c.amount)
    booked, held = func.coalesce(ledger.c.total, 0), func.coalesce(holds.c.total, 0)
    wrong = (
        select(ACCOUNTS.c.id, ACCOUNTS.c.balance, booked, ACCOUNTS.c.held, held)
        .select_from(ACCOUNTS)
        .outerjoin(ledger, ledger.c.of == ACCOUNTS.c.id)
        .outerjoin(holds, holds.c.of == ACCOUNTS.c.id)
        .where(or_(ACCOUNTS.c.balance != booked, ACCOUNTS.c.held != held))
        .order_by(ACCOUNTS.c.id)
    )
    return [Difference(*map(int, row)) for row in connection.execute(wrong)]


def _sum(of: Column[int], amount: Column[int]) -> Subquery:
    return select(of.label("of"), func.sum(amount).label("total")).group_by(of).subquery()


def purge(connection: Connection, usage_before: int, audit_before: int) -> int:
    """Remove some of the rows from before these times; return how many. Sums by day stay."""
    found = _purge(connection, USAGE, usage_before)
    return found + _purge(connection, AUDIT, audit_before)


def _purge(connection: Connection, table: Table, before: int) -> int:
    (name,) = table.primary_key.columns
    old = select(name).where(table.c.at < before).limit(_SOME)
    return connection.execute(delete(table).where(name.in_(old))).rowcount
