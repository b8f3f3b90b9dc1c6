"""Book a group of holds and settlements in one transaction.

Each request is booked once: by its id a settlement is recognised, whether it was committed and the
answer to the commit was lost, or whether two of them come.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, bindparam, case, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from accounts.store.rows import FAILED, Funds, Hold, Outcome, Settlement
from accounts.tables import ACCOUNTS, API_KEYS, HOLDS, LEDGER, USAGE, USAGE_DAILY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Table, Update

_DAY = 24 * 3600 * 1000
_SUMS = ("requests", "errors", "prompt", "cached", "completion", "cost", "load_ms", "first_ms")
_OF_HOLD = tuple(each.name for each in fields(Hold) if each.name != "at")
_OF_USAGE = tuple(each.name for each in fields(Settlement) if not each.name.endswith("_from"))
# Statements are made once: to make one takes as long as to carry it out.
_INSERT_HOLD, _INSERT_USAGE, _INSERT_LEDGER = insert(HOLDS), insert(USAGE), insert(LEDGER)


def book(
    connection: Connection, boot: str, rows: Sequence[Hold | Settlement], *, again: bool = False
) -> Outcome:
    """Write the rows in the transaction of ``connection``.

    A hold takes its amount only where the balance has it, also if others take from it. ``again``:
    the rows may have been committed before.
    """
    settled = [row for row in rows if isinstance(row, Settlement)]
    ended = {row.request_id for row in settled}
    # What is settled in the same group is not held before.
    holds = [row for row in rows if isinstance(row, Hold) and row.request_id not in ended]
    funds: dict[int, Funds] = {}
    if connection.dialect.name == "postgresql":
        # First of all and in a fixed order: whatever else is locked belongs to one account, so
        # gateways that write at the same time never wait for each other in a circle.
        connection.execute(_LOCK, {"ids": sorted({row.account_id for row in rows})})
    if again:
        ids = [row.request_id for row in rows]
        # A gateway that was taken for dead goes on with what was released meanwhile.
        crashed = (USAGE.c.request_id.in_(ids)) & (USAGE.c.ended == "crashed")
        connection.execute(delete(USAGE).where(crashed))
        settled_before = _known(connection, USAGE, ids)
        known = settled_before | _known(connection, HOLDS, ids)
        holds = [row for row in holds if row.request_id not in known]
        settled = [row for row in settled if row.request_id not in settled_before]
        funds |= _funds(connection, sorted({row.account_id for row in rows}))
    refused = _hold(connection, boot, holds, funds) if holds else frozenset()
    if settled:
        _settle(connection, settled, funds)
    return Outcome(refused, funds)


_LOCK = (
    select(ACCOUNTS.c.id)
    .where(ACCOUNTS.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(ACCOUNTS.c.id)
    .with_for_update(key_share=True)
)


def _known(connection: Connection, table: Table, ids: Iterable[str]) -> set[str]:
    found = connection.execute(select(table.c.request_id).where(table.c.request_id.in_(list(ids))))
    return set(found.scalars())


def _funds(connection: Connection, accounts: Sequence[int]) -> dict[int, Funds]:
    columns = ACCOUNTS.c.id, ACCOUNTS.c.balance, ACCOUNTS.c.held
    found = connection.execute(select(*columns).where(ACCOUNTS.c.id.in_(accounts)))
    return {account: Funds(balance, held) for account, balance, held in found}


# -- holds -------------------------------------------------------------------------------


def _hold(
    connection: Connection, boot: str, holds: Sequence[Hold], funds: dict[int, Funds]
) -> frozenset[str]:
    """Hold what each row asks for; return the requests for which there is no money."""
    by_account: defaultdict[int, list[Hold]] = defaultdict(list)
    for each in holds:
        by_account[each.account_id].append(each)
    taken: list[Hold] = []
    for account in sorted(by_account):
        wanted = by_account[account]
        if _take(connection, account, sum(each.amount for each in wanted), funds):
            taken += wanted
        else:
            taken += [each for each in wanted if _take(connection, account, each.amount, funds)]
    if taken:
        values = [_row_of_hold(each, boot) for each in taken]
        connection.execute(_INSERT_HOLD, values)
    return frozenset(each.request_id for each in holds) - {each.request_id for each in taken}


def _take(connection: Connection, account: int, amount: int, funds: dict[int, Funds]) -> bool:
    row = connection.execute(_TAKE, {"account": account, "amount": amount}).one_or_none()
    if row is None:
        return False
    funds[account] = Funds(*row)
    return True


_TAKE = (
    update(ACCOUNTS)
    .where(ACCOUNTS.c.id == bindparam("account"))
    .where(ACCOUNTS.c.balance - ACCOUNTS.c.held >= bindparam("amount"))
    .values(held=ACCOUNTS.c.held + bindparam("amount"))
    .returning(ACCOUNTS.c.balance, ACCOUNTS.c.held)
)


def _row_of_hold(hold: Hold, boot: str) -> dict[str, Any]:
    row = {name: getattr(hold, name) for name in _OF_HOLD}
    return {**row, "created_at": hold.at, "boot_id": boot}


# -- settlements -------------------------------------------------------------------------


def _settle(connection: Connection, settled: Sequence[Settlement], funds: dict[int, Funds]) -> None:
    """Write usage, ledger, daily sums and what was spent; remove the holds."""
    charged = [row for row in settled if row.cost]
    connection.execute(_INSERT_USAGE, [_row_of_usage(row) for row in settled])
    if charged:
        connection.execute(_INSERT_LEDGER, [_row_of_ledger(row) for row in charged])
    _add_to_days(connection, settled)
    _spend(connection, settled)
    freed = _free(connection, [row.request_id for row in settled])
    costs: defaultdict[int, int] = defaultdict(int)
    for row in charged:
        costs[row.account_id] += row.cost
    for account in sorted(costs.keys() | freed.keys()):
        change = {"account": account, "cost": costs[account], "freed": freed[account]}
        funds[account] = Funds(*connection.execute(_CHARGE, change).one())


_CHARGE = (
    update(ACCOUNTS)
    .where(ACCOUNTS.c.id == bindparam("account"))
    .values(
        balance=ACCOUNTS.c.balance - bindparam("cost"), held=ACCOUNTS.c.held - bindparam("freed")
    )
    .returning(ACCOUNTS.c.balance, ACCOUNTS.c.held)
)


def _free(connection: Connection, ids: Sequence[str]) -> defaultdict[int, int]:
    """Remove the holds of these requests; return what they held, by account."""
    freed: defaultdict[int, int] = defaultdict(int)
    rows = connection.execute(_FREE, {"ids": list(ids)})
    for account, amount in rows:
        freed[account] += amount
    return freed


_FREE = (
    delete(HOLDS)
    .where(HOLDS.c.request_id.in_(bindparam("ids", expanding=True)))
    .returning(HOLDS.c.account_id, HOLDS.c.amount)
)


def _row_of_usage(row: Settlement) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _OF_USAGE}


def _row_of_ledger(row: Settlement) -> dict[str, Any]:
    return {
        "account_id": row.account_id,
        "kind": "usage",
        "amount": -row.cost,
        "source": f"req:{row.request_id}",
        "at": row.at,
    }


def _spend(connection: Connection, settled: Sequence[Settlement]) -> None:
    """Add the costs to what accounts and keys have spent in their periods; note their use."""
    for statement, spent in (
        (_SPEND_ACCOUNT, _spent((r.account_id, r.account_from, r) for r in settled)),
        (_SPEND_KEY, _spent((r.key_id, r.key_from, r) for r in settled if r.key_id is not None)),
    ):
        if spent:
            connection.execute(statement, spent)


def _spending(table: Table, used: str) -> Update:
    # A clock that was set back begins no earlier period.
    goes_on = table.c.spent_from >= bindparam("since")
    cost = bindparam("cost", type_=BigInteger)
    values: dict[str, Any] = {
        "spent": case((goes_on, table.c.spent + cost), else_=cost),
        "spent_from": case((goes_on, table.c.spent_from), else_=bindparam("since")),
        used: bindparam("last"),
    }
    return update(table).where(table.c.id == bindparam("which")).values(values)


_SPEND_ACCOUNT = _spending(ACCOUNTS, "last_seen_at")
_SPEND_KEY = _spending(API_KEYS, "last_used_at")


def _spent(rows: Iterable[tuple[int, int, Settlement]]) -> list[dict[str, int]]:
    sums: dict[tuple[int, int], dict[str, int]] = {}
    for which, since, row in rows:
        one = sums.setdefault(
            (which, since), {"which": which, "since": since, "cost": 0, "last": row.at}
        )
        one["cost"] += row.cost
        one["last"] = row.at
    return [sums[each] for each in sorted(sums)]


def _add_to_days(connection: Connection, settled: Sequence[Settlement]) -> None:
    sums: dict[tuple[int, int, int, str], dict[str, int]] = {}
    for row in settled:
        of = (row.at // _DAY, row.account_id, row.key_id or 0, row.model)
        one = sums.setdefault(of, dict.fromkeys(_SUMS, 0))
        one["requests"] += 1
        one["errors"] += row.ended in FAILED
        for name in ("prompt", "cached", "completion", "cost"):
            one[name] += getattr(row, name)
        one["load_ms"] += row.load_ms or 0
        one["first_ms"] += row.first_ms or 0
    values = [dict(zip(_OF_DAY, of, strict=True)) | sums[of] for of in sorted(sums)]
    connection.execute(_ADD_TO_DAYS[connection.dialect.name], values)


def _adding(made: Any) -> Any:  # noqa: ANN401 - each dialect has its own class of insert
    return made.on_conflict_do_update(
        index_elements=_OF_DAY,
        set_={name: USAGE_DAILY.c[name] + made.excluded[name] for name in _SUMS},
    )


_OF_DAY = ("day", "account_id", "key_id", "model")
_ADD_TO_DAYS = {
    "sqlite": _adding(sqlite.insert(USAGE_DAILY)),
    "postgresql": _adding(postgresql.insert(USAGE_DAILY)),
}
