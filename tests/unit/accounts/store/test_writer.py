"""accounts/store/writer.py: groups, failures, and nobody who waits for ever."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from account_rows import add_account, check_books, hold, new_database, settlement
from raw_client import PATIENCE
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from accounts.store.backlog import Backlog
from accounts.store.rows import Funds
from accounts.store.writer import Writer
from accounts.tables import ACCOUNTS, HOLDS, LEDGER, USAGE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection

    from accounts.store.rows import Hold, Outcome, Settlement
    from accounts.store.writer import Row

UNIT = 10**9


class Bench:
    """A writer on a database with accounts 1 and 2, and what it told."""

    def __init__(self, folder: Path, *, kept: bool) -> None:
        self.engine = new_database(folder)
        with self.engine.begin() as connection:
            self.accounts = [add_account(connection), add_account(connection)]
        self.groups: list[list[Row]] = []
        self.funds: dict[int, Funds] = {}
        backlog = Backlog(folder, "accounts") if kept else None
        if backlog is not None:
            backlog.open()
        self.writer = Writer(self.engine, "ab12", booked=self._booked, backlog=backlog, alone=kept)

    def _booked(self, rows: list[Row], outcome: Outcome) -> None:
        self.groups.append(rows)
        self.funds |= outcome.funds

    def hold(self, row: Hold) -> asyncio.Future[bool]:
        future = self.writer.hold(row)
        assert future is not None
        return future

    def settle(self, row: Settlement, *, urgent: bool) -> asyncio.Future[None]:
        future = self.writer.settle(row, urgent=urgent)
        assert future is not None
        return future

    def fail(self, times: int, *, after: bool = False) -> None:
        """Let the next commits fail: before they happen, or only in what is heard of them."""
        left = [times]

        def broken(connection: Connection) -> None:
            if left[0]:
                left[0] -= 1
                if after:
                    # It has happened, but the connection was lost before the answer came.
                    connection.connection.commit()
                raise OperationalError("COMMIT", None, Exception("disk full"))

        event.listen(self.engine, "commit", broken)

    def count(self, table: Any) -> int:
        with self.engine.connect() as connection:
            return count(connection, table)

    def balance(self, account: int) -> int:
        with self.engine.connect() as connection:
            return balance(connection, account)


def count(connection: Connection, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def balance(connection: Connection, account: int) -> int:
    where = ACCOUNTS.c.id == account
    return int(connection.execute(select(ACCOUNTS.c.balance).where(where)).scalar_one())


@asynccontextmanager
async def bench(folder: Path, *, kept: bool = False) -> AsyncIterator[Bench]:
    it = Bench(folder, kept=kept)
    try:
        yield it
    finally:
        await it.writer.close(5)
        with it.engine.connect() as connection:
            check_books(connection)
        it.engine.dispose()


async def test_a_hold_and_its_settlement(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        account = it.accounts[0]
        assert await it.hold(hold("r", account, 500)) is True
        assert it.funds[account] == Funds(UNIT, 500)
        assert it.count(HOLDS) == 1
        await it.settle(settlement("r", account, 70), urgent=True)
        assert it.funds[account] == Funds(UNIT - 70, 0)
        assert (it.count(HOLDS), it.count(USAGE)) == (0, 1)


async def test_what_comes_together_is_committed_together(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        held = [it.hold(hold(f"r{n}", it.accounts[n % 2])) for n in range(300)]
        assert all(await asyncio.gather(*held))
        assert len(it.groups) <= 6
        rows = [settlement(f"r{n}", it.accounts[n % 2]) for n in range(300)]
        await asyncio.gather(*(it.settle(row, urgent=False) for row in rows))
        assert it.balance(it.accounts[0]) == UNIT - 150 * 100


async def test_a_hold_is_refused_where_the_database_has_no_money(tmp_path: Path) -> None:
    """Other processes take from the same account; of a group some may be possible."""
    async with bench(tmp_path) as it:
        poor, rich = it.accounts
        asked = [it.hold(hold(f"p{n}", poor, UNIT // 3)) for n in range(5)]
        asked.append(it.hold(hold("r", rich, UNIT)))
        assert await asyncio.gather(*asked) == [True, True, True, False, False, True]
        assert await it.hold(hold("s", rich, 1)) is False


@pytest.mark.parametrize("after", [False, True])
async def test_a_commit_that_fails_three_times(tmp_path: Path, after: bool) -> None:
    """Every row is booked once, also where a commit had happened that seemed to fail."""
    async with bench(tmp_path) as it:
        account = it.accounts[0]
        it.fail(3, after=after)
        waits: list[asyncio.Future[Any]]
        waits = [it.hold(hold(f"r{n}", account)) for n in range(25)]
        waits += [it.settle(settlement(f"r{n}", account), urgent=True) for n in range(25)]
        assert all(await asyncio.gather(*waits))
        assert (it.count(HOLDS), it.count(USAGE), it.count(LEDGER)) == (0, 25, 25 + 2)
        assert it.balance(account) == UNIT - 25 * 100
        assert it.writer.late == 0
        assert it.writer.reachable
        assert it.funds[account] == Funds(UNIT - 25 * 100, 0)


async def test_a_row_that_cannot_be_written_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        account = it.accounts[0]
        good, bad, other = await asyncio.gather(
            it.settle(settlement("a", account), urgent=True),
            it.settle(settlement("b", 999), urgent=True),
            it.settle(settlement("c", account), urgent=True),
            return_exceptions=True,
        )
        assert isinstance(bad, IntegrityError)
        assert not isinstance(good, BaseException)
        assert not isinstance(other, BaseException)
        assert it.count(USAGE) == 2


async def test_a_request_is_charged_once_however_often_it_is_settled(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        account = it.accounts[0]
        for _ in range(2):
            await it.settle(settlement("r", account), urgent=True)
        assert it.balance(account) == UNIT - 100


async def test_jobs_are_run_in_their_order_and_tell_their_failures(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        account = it.accounts[0]
        first = it.settle(settlement("r", account), urgent=False)
        look = partial(balance, account=account)
        assert await it.writer.write(look) == UNIT - 100
        assert first.done()

        def break_off(connection: Connection) -> None:
            row = {"account_id": account, "kind": "topup", "amount": 5, "source": "x", "at": 0}
            connection.execute(insert(LEDGER).values(row))
            raise KeyError("why")

        with pytest.raises(KeyError, match="why"):
            await it.writer.write(break_off)
        assert await it.writer.write(look) == UNIT - 100


async def test_what_waits_is_written_before_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        rows = [settlement(f"r{n}", it.accounts[0]) for n in range(250)]
        waits = [it.settle(row, urgent=False) for row in rows]
        await it.writer.close(5)
        assert all(wait.done() for wait in waits)
        assert it.count(USAGE) == 250
        with pytest.raises(RuntimeError, match="closed"):
            it.hold(hold("late", it.accounts[0]))


async def test_a_database_that_stays_away_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        it.fail(10**6)
        waits = it.hold(hold("r", it.accounts[0]))
        await it.writer.close(0.2)
        assert not waits.done()
        assert it.writer.late > 0


async def test_what_others_changed_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.store.writer.LOOK", 0.01)
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    writer = Writer(
        new_database(tmp_path),
        "1",
        booked=lambda _rows, _outcome: None,
        look=partial(count, table=ACCOUNTS),
        seen=lambda found: None if seen.done() else seen.set_result(found),
    )
    assert await seen == 0
    await writer.close(1)


async def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """SQLite itself says that there is no more room; every row is written when there is."""
    async with bench(tmp_path) as it:
        pages = [0]

        def limit(connection: sqlite3.Connection, _record: object) -> None:
            most = pages[0] or 2**30
            connection.execute(f"PRAGMA max_page_count = {most}").close()

        event.listen(it.engine, "connect", limit)
        with it.engine.connect() as connection:
            pages[0] = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        account = it.accounts[0]
        rows = [settlement(f"r{n}", account, variant="v" * 190) for n in range(300)]
        waits = [it.settle(row, urgent=True) for row in rows]
        async with asyncio.timeout(PATIENCE):
            while it.writer.reachable:
                await asyncio.sleep(0)
        assert it.writer.late > 0
        pages[0] = 0
        await asyncio.gather(*waits)
        assert it.writer.reachable
        assert it.count(USAGE) == 300
        assert it.balance(account) == UNIT - 300 * 100


async def test_nobody_waits_for_rows_of_the_backlog(tmp_path: Path) -> None:
    """They are committed together, and what is left at the end is there for the next gateway."""
    async with bench(tmp_path, kept=True) as it:
        account = it.accounts[0]
        for number in range(20):
            assert it.writer.hold(hold(f"r{number}", account)) is None
            assert it.writer.settle(settlement(f"r{number}", account), urgent=True) is None
        await it.writer.caught_up(5)
        assert len(it.groups) <= 2
        assert it.balance(account) == UNIT - 20 * 100
        it.fail(10**6)
        it.writer.settle(settlement("late", account), urgent=True)
        await it.writer.caught_up(0.1)
        await it.writer.close(0.1)
    ids = [row.request_id for row in Backlog(tmp_path, "accounts").read()]
    assert "late" in ids
