"""accounts/sessions.py and its rows: how long a session lasts, and what is used once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from account_rows import add_account, new_database

from accounts.keys import digest_of
from accounts.sessions import TICKET, Sessions
from accounts.store.sessions import (
    IDLE,
    LIFETIME,
    LINK_LIFETIME,
    SEEN_EVERY,
    sessions_of,
    use_link,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

HOUR = 3600 * 1000


@dataclass
class Store:
    """The database of accounts, without a thread."""

    engine: Engine
    reads: int = 0

    async def read(self, job: Callable[[Any], Any]) -> Any:
        self.reads += 1
        with self.engine.connect() as connection:
            return job(connection)

    async def write(self, job: Callable[[Any], Any]) -> Any:
        with self.engine.begin() as connection:
            return job(connection)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = Store(new_database(folder))
        with self.store.engine.begin() as connection:
            self.account = add_account(connection)
        self.now = 1_000_000 * HOUR
        self.sessions = self.another()

    def another(self) -> Sessions:
        store: Any = self.store
        return Sessions(store, lambda: self.now)

    async def use(self, link: str) -> int | None:
        used: int | None = await self.store.write(lambda c: use_link(c, digest_of(link), self.now))
        return used


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_session_that_is_used_lasts_for_its_lifetime(bench: Bench) -> None:
    token = await bench.sessions.begin(bench.account, "Firefox")
    begun = bench.now
    while bench.now + IDLE - HOUR < begun + LIFETIME:
        bench.now += IDLE - HOUR
        assert await bench.sessions.find(token) is not None
    bench.now = begun + LIFETIME
    assert await bench.sessions.find(token) is None


async def test_a_session_that_is_not_used_ends(bench: Bench) -> None:
    token = await bench.sessions.begin(bench.account, "Firefox")
    bench.now += IDLE
    assert await bench.sessions.find(token) is None
    # The next one that begins removes it.
    await bench.sessions.begin(bench.account, "x")
    rows = await bench.store.read(lambda c: sessions_of(c, bench.account, 0))
    assert len(rows) == 1


async def test_the_database_is_asked_seldom(bench: Bench) -> None:
    token = await bench.sessions.begin(bench.account, "x")
    for _ in range(5):
        assert await bench.sessions.find(token) is not None
        assert await bench.sessions.find("sk-gw-no") is None
    assert bench.store.reads == 1
    bench.now += SEEN_EVERY
    await bench.sessions.find(token)
    [row] = await bench.store.read(lambda c: sessions_of(c, bench.account, bench.now))
    assert row.seen_at == bench.now
    assert token not in str(row)


@pytest.mark.parametrize("later", [HOUR, -HOUR], ids=["an hour on", "the clock set back"])
async def test_an_end_is_seen_by_other_gateways(bench: Bench, later: int) -> None:
    token = await bench.sessions.begin(bench.account, "x")
    other = bench.another()
    assert await other.find(token) is not None
    assert await bench.sessions.end(digest_of(token))
    assert not await bench.sessions.end(digest_of(token))
    assert await bench.sessions.find(token) is None
    bench.now += later
    assert await other.find(token) is None


async def test_all_sessions_but_one_can_be_ended(bench: Bench) -> None:
    tokens = [await bench.sessions.begin(bench.account, "x") for _ in range(3)]
    assert await bench.sessions.end_all(bench.account, but=digest_of(tokens[1])) == 2
    alive = [await bench.sessions.find(token) is not None for token in tokens]
    assert alive == [False, True, False]


async def test_a_link_is_used_once_and_is_no_session(bench: Bench) -> None:
    link, late = [await bench.sessions.link(bench.account) for _ in range(2)]
    assert await bench.sessions.find(link) is None
    assert await bench.use(link) == bench.account
    assert await bench.use(link) is None
    token = await bench.sessions.begin(bench.account, "(link)")
    assert await bench.use(token) is None
    bench.now += LINK_LIFETIME
    assert await bench.use(late) is None


def test_a_ticket_is_used_once_and_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = bench.sessions.ticket(7), bench.sessions.ticket(7)
    assert bench.sessions.redeem(first) == 7
    assert bench.sessions.redeem(first) is None
    now = __import__("time").monotonic()
    monkeypatch.setattr("accounts.sessions.time.monotonic", lambda: now + TICKET + 1)
    assert bench.sessions.redeem(second) is None
