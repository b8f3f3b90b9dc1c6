"""A gateway with accounts in a test, and accounts that have keys."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from account_rows import check_books
from gateway import running_gateway
from sqlalchemy import select

from accounts.store.changes import Actor, add_money, create_account, create_key
from accounts.store.database import address, open_database
from accounts.store.migrate import migrate
from accounts.tables import ACCOUNTS, HOLDS, USAGE
from utils.config.accounts import AccountsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from fake_engine import Journal
    from gateway import Gateway
    from sqlalchemy import Engine

    from models.spec import ModelSpec

UNIT = 10**9


@dataclass
class Books:
    """The database of a gateway, as somebody else sees it."""

    engine: Engine

    def add(
        self,
        tier: str = "payg",
        money: int = UNIT,
        columns: Mapping[str, Any] | None = None,
        **key: Any,
    ) -> str:
        """Add an account with a key, and return the key; the first account is number 1."""
        actor = Actor(int(time.time() * 1000))
        with self.engine.begin() as connection:
            number = create_account(connection, actor, "someone", tier, columns or {})
            if money:
                add_money(connection, actor, number, money, source=f"topup:{number}")
            _, made = create_key(connection, actor, number, "k", key)
        return made.text

    def add_key(self, account: int = 1) -> str:
        """Add another key to an account, and return it."""
        with self.engine.begin() as connection:
            actor = Actor(int(time.time() * 1000))
            return create_key(connection, actor, account, "another", {})[1].text

    def balance(self, account: int = 1) -> int:
        with self.engine.connect() as connection:
            where = ACCOUNTS.c.id == account
            return int(connection.execute(select(ACCOUNTS.c.balance).where(where)).scalar_one())

    def usage(self) -> list[dict[str, Any]]:
        """Return the rows of all requests, in their order."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(USAGE).order_by(USAGE.c.at, USAGE.c.request_id))
            return [dict(row) for row in rows.mappings()]

    def check(self) -> None:
        """Assert that nothing is held, and that every balance is the sum of its ledger."""
        with self.engine.connect() as connection:
            check_books(connection)
            assert not connection.execute(select(HOLDS)).all()


def books(folder: Path, url: str | None = None) -> Books:
    """Return the database of a gateway with this state folder, new if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_database(address(url, folder))
    migrate(engine)
    return Books(engine)


@asynccontextmanager
async def charging_gateway(
    journal: Journal,
    *models: ModelSpec,
    at: Books,
    accounts: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
) -> AsyncIterator[Gateway]:
    """Serve ``models`` to those who have a key in ``at``; afterwards all books are right."""
    settings = AccountsSettings(**(accounts or {}))
    async with running_gateway(journal, *models, accounts=settings, **(server or {})) as gateway:
        yield gateway
    at.check()


async def booked(gateway: Gateway) -> None:
    """Wait until the database has the requests that have ended: who reads pages waits for that."""
    assert (await gateway.request("GET", "/admin/api/usage")).status == 200


def bearer(key: str) -> dict[str, Any]:
    """Return the headers of a request with this key, as an argument for a client."""
    return {"headers": {"Authorization": f"Bearer {key}"}}
