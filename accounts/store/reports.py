"""Read lists for pages: accounts, keys, usage, the audit and others. Synchronous.

Lists come in pages, the newest first: ``before`` is the number of the last row of the page before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from accounts.tables import (
    ACCOUNTS,
    API_KEYS,
    AUDIT,
    INVITES,
    LEDGER,
    PRICES,
    SIGNUPS,
    USAGE_DAILY,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Select, Table

Row = dict[str, Any]
_SUMS = ("requests", "errors", "prompt", "cached", "completion", "cost", "load_ms", "first_ms")
# What pages group the usage by.
GROUPS = ("day", "account_id", "key_id", "model")
# Rows of a table of usage.
MOST_USAGE = 10_000
_SECRET = {"password_hash", "digest", "address_hash"}


def accounts_page(
    connection: Connection, limit: int, before: int | None, asked: Mapping[str, str]
) -> list[Row]:
    """Return accounts, with a ``search`` in name and e-mail address, a ``tier`` or a ``status``."""
    found = _page(ACCOUNTS, limit, before)
    if (text := asked.get("search")) is not None:
        some = f"%{_plain(text.lower())}%"
        names = (ACCOUNTS.c.email, func.lower(ACCOUNTS.c.name))
        found = found.where(or_(*(each.like(some, escape="!") for each in names)))
    for name in ("tier", "status"):
        if name in asked:
            found = found.where(ACCOUNTS.c[name] == asked[name])
    return _rows(connection, found)


def account_row(connection: Connection, account: int) -> Row | None:
    """Return one account."""
    found = _rows(connection, select(ACCOUNTS).where(ACCOUNTS.c.id == account))
    return found[0] if found else None


def keys_page(
    connection: Connection, limit: int, before: int | None, account: int | None
) -> list[Row]:
    """Return the keys of an account, or all of them."""
    found = _page(API_KEYS, limit, before)
    if account is not None:
        found = found.where(API_KEYS.c.account_id == account)
    return _rows(connection, found)


def key_row(connection: Connection, number: int) -> Row | None:
    """Return one key."""
    found = _rows(connection, select(API_KEYS).where(API_KEYS.c.id == number))
    return found[0] if found else None


def signups_page(
    connection: Connection, limit: int, before: int | None, state: str | None
) -> list[Row]:
    """Return requests for accounts, or those in this state."""
    found = _page(SIGNUPS, limit, before)
    if state is not None:
        found = found.where(SIGNUPS.c.state == state)
    return _rows(connection, found)


def invites_page(connection: Connection, limit: int, before: int | None) -> list[Row]:
    """Return the invites."""
    return _rows(connection, _page(INVITES, limit, before))


def prices_page(
    connection: Connection, limit: int, before: int | None, model: str | None
) -> list[Row]:
    """Return prices, those of the past too, or those of one model."""
    found = _page(PRICES, limit, before)
    if model is not None:
        found = found.where(PRICES.c.model == model)
    return _rows(connection, found)


def ledger_page(connection: Connection, limit: int, before: int | None, account: int) -> list[Row]:
    """Return what was booked for an account."""
    return _rows(connection, _page(LEDGER, limit, before).where(LEDGER.c.account_id == account))


def audit_page(
    connection: Connection, limit: int, before: int | None, asked: Mapping[str, str]
) -> list[Row]:
    """Return what was changed, by the texts of ``action`` and ``object`` if they are asked for."""
    found = _page(AUDIT, limit, before)
    for name in ("action", "object"):
        if name in asked:
            found = found.where(AUDIT.c[name] == asked[name])
    return _rows(connection, found)


def usage_table(
    connection: Connection,
    first: int,
    last: int,
    groups: Sequence[str],
    *,
    account: int | None = None,
    model: str | None = None,
) -> list[Row]:
    """Return the sums of usage from one day to another, by these ``GROUPS``, the newest first."""
    by: list[Column[Any]] = [USAGE_DAILY.c[name] for name in groups]
    sums: list[ColumnElement[Any]] = [func.sum(USAGE_DAILY.c[name]).label(name) for name in _SUMS]
    found = select(*by, *sums).where(USAGE_DAILY.c.day >= first, USAGE_DAILY.c.day <= last)
    if account is not None:
        found = found.where(USAGE_DAILY.c.account_id == account)
    if model is not None:
        found = found.where(USAGE_DAILY.c.model == model)
    order = [each.desc() if each.name == "day" else each for each in by]
    rows = connection.execute(found.group_by(*by).order_by(*order).limit(MOST_USAGE)).mappings()
    return [{str(name): _whole(name, value) for name, value in row.items()} for row in rows]


def names_of(connection: Connection, table: Table, numbers: Sequence[int]) -> dict[int, str]:
    """Return the names of accounts or keys by their numbers."""
    rows = connection.execute(
        select(table.c.id, table.c.name).where(table.c.id.in_(sorted({*numbers})))
    )
    return {row[0]: row[1] for row in rows}


def _page(table: Table, limit: int, before: int | None) -> Select[Any]:
    found = select(table).order_by(table.c.id.desc()).limit(limit)
    return found if before is None else found.where(table.c.id < before)


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [
        {str(name): value for name, value in row.items() if name not in _SECRET}
        for row in connection.execute(query).mappings()
    ]


def _plain(text: str) -> str:
    """Return the text with nothing in it that LIKE takes for a pattern."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _whole(name: str, value: Any) -> Any:  # noqa: ANN401 - of any column
    # PostgreSQL sums integers to a decimal.
    return int(value) if name in _SUMS else value
