"""Accounts in a database of a test: rows to begin with, and what must always hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from accounts.store.database import open_database
from accounts.store.migrate import migrate
from accounts.store.rows import Hold, Settlement
from accounts.tables import ACCOUNTS, API_KEYS, LEDGER

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

UNIT = 10**9


def new_database(folder: Path) -> Engine:
    """Return an empty database in a file."""
    engine = open_database(f"sqlite:///{folder / 'accounts.db'}")
    migrate(engine)
    return engine


def add_account(
    connection: Connection, balance: int = UNIT, tier: str = "payg", **more: Any
) -> int:
    """Add an account with one top-up."""
    now = int(time.time() * 1000)
    row = {"name": "someone", "tier": tier, "status": "active", "created_at": now, **more}
    account: int = connection.execute(
        insert(ACCOUNTS).values(balance=balance, **row).returning(ACCOUNTS.c.id)
    ).scalar_one()
    if balance:
        connection.execute(
            insert(LEDGER).values(
                account_id=account,
                kind="topup",
                amount=balance,
                source=f"topup:{account}",
                at=now,
            )
        )
    return account


def add_key(connection: Connection, account: int, digest: bytes, **more: Any) -> int:
    """Add a key with this digest."""
    row = {"name": "k", "prefix": "sk-gw-test", "created_at": 0, **more}
    key: int = connection.execute(
        insert(API_KEYS).values(account_id=account, digest=digest, **row).returning(API_KEYS.c.id)
    ).scalar_one()
    return key


def hold(request: str, account: int, amount: int = 1000) -> Hold:
    """Return a hold of this request."""
    return Hold(
        request_id=request,
        account_id=account,
        key_id=None,
        key_name="k",
        amount=amount,
        model="m",
        path="/v1/chat/completions",
        at=1,
    )


def settlement(request: str, account: int, cost: int = 100, **more: Any) -> Settlement:
    """Return a settlement of this request."""
    row: dict[str, Any] = {
        "key_id": None,
        "key_name": "k",
        "model": "m",
        "variant": "m@256",
        "path": "/v1/chat/completions",
        "ended": "complete",
        "streamed": True,
        "prompt": 10,
        "cached": 2,
        "completion": 5,
        "counted": "engine",
        "price_id": None,
        "queue_ms": 1,
        "load_ms": None,
        "first_ms": 3,
        "total_ms": 9,
        "at": 5,
    }
    return Settlement(request_id=request, account_id=account, cost=cost, **(row | more))


def check_books(connection: Connection) -> None:
    """Assert that every balance is the sum of its ledger, and every sum that of its rows.

    As plain text, since a test may do this a thousand times.
    """
    ledger = _sums(connection, "amount", "ledger")
    held = _sums(connection, "amount", "holds")
    used = _sums(connection, "cost", "usage")
    daily = _sums(connection, "cost", "usage_daily")
    for account, balance, holds in connection.exec_driver_sql(
        "SELECT id, balance, held FROM accounts"
    ):
        assert balance == ledger.get(account, 0), "a balance is not the sum of its ledger"
        assert holds == held.get(account, 0), "what is held is not the sum of the holds"
        assert used.get(account, 0) == daily.get(account, 0), (
            "the days are not the sum of the usage"
        )
    charged = _sums(connection, "amount", "ledger WHERE kind = 'usage'")
    assert -sum(charged.values()) == sum(used.values()), "the ledger is not the sum of the usage"


def _sums(connection: Connection, amount: str, rows: str) -> dict[int, int]:
    query = f"SELECT account_id, SUM({amount}) FROM {rows} GROUP BY account_id"
    return {of: int(total) for of, total in connection.exec_driver_sql(query)}
