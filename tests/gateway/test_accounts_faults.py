"""A gateway with accounts whose database cannot be written for a while, and a clock set back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from account_gateway import UNIT, bearer, booked, books, charging_gateway
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body

from utils.config.accounts import AccountsSettings, PriceTable, RateLimitsTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from fake_engine import Journal
    from gateway_client import Answer

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    connection.execute(line)
    print(flush=True)
"""


class Locker:
    """Another process, which can lock the file of a database."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def lock(self) -> None:
        self._tell(b"BEGIN EXCLUSIVE")

    def unlock(self) -> None:
        self._tell(b"COMMIT")

    def _tell(self, command: bytes) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"\n"


@contextmanager
def locker(file: Path) -> Iterator[Locker]:
    words = [sys.executable, "-S", "-c", LOCKER, str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        yield Locker(process)


async def test_a_database_that_another_process_has_locked(journal: Journal) -> None:
    """For a moment nobody notices; then who pays is told so, others go on, and it heals."""
    state = journal.path.parent / "state"
    at = books(state)
    payer, friend = at.add(), at.add("sub")
    # Longer than a machine is busy with something else, or a disk with its cache.
    settings = {"hold_wait": 2.0, "rate_limits": RateLimitsTable(payg=10**6, sub=10**6)}
    model = fake_model(fake_variant(journal))
    running = charging_gateway(journal, model, at=at, accounts=settings)
    with locker(state / "accounts.db") as other:
        async with running as gateway:

            async def status(key: str) -> int:
                return (await gateway.post(chat_body(stream=True), **bearer(key))).status

            async def health() -> object:
                return (await gateway.health())["accounts"]["status"]

            assert await status(payer) == 200
            await booked(gateway)
            answered = 1
            other.lock()
            while (told := await status(payer)) == 200:
                answered += 1
                await asyncio.sleep(0.05)
            assert told == 503
            assert answered > 1, "a short lock delays nobody"
            assert await status(friend) == 200
            assert len(at.usage()) == 1
            assert await health() == "failing"
            other.unlock()
            while await status(payer) != 200:
                pass
            await booked(gateway)
            assert await health() == "ok"
            rows = at.usage()
            assert [row["account_id"] for row in rows].count(2) == 1
            assert len(rows) == answered + 2


async def test_a_gateway_that_ends_while_its_database_is_locked(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was answered is charged by the next gateway, once."""
    monkeypatch.setattr("accounts.store.writer._LOCKED", 50)
    state = journal.path.parent / "state"
    at = books(state)
    key = at.add()
    model = fake_model(fake_variant(journal))
    with locker(state / "accounts.db") as other:
        async with running_gateway(journal, model, accounts=AccountsSettings()) as gateway:
            await gateway.post(chat_body(), **bearer(key))
            await booked(gateway)
            other.lock()
            assert (await gateway.post(chat_body(), **bearer(key))).status == 200
        other.unlock()
    assert len(at.usage()) == 1
    assert "are written at the next start" in caplog.text
    for _ in range(2):
        async with charging_gateway(journal, model, at=at):
            assert len(at.usage()) == 2
    assert not list(state.glob("*.backlog"))


async def test_a_clock_that_is_set_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits and budgets stay used up, holds are settled, and what is valid stays valid."""
    back = [0]
    monkeypatch.setattr("accounts.service._wall", lambda: time.time_ns() // 10**6 - back[0])
    at = books(journal.path.parent / "state")
    limited, once = at.add(rpm=3), at.add(budget=UNIT, budget_period="day", money=5 * UNIT)
    free = PriceTable(name="m", input_per_1k="0", output_per_1k="0", per_request="0.1")
    model = fake_model(fake_variant(journal))
    settings = {"prices": (free,)}
    async with charging_gateway(journal, model, at=at, accounts=settings) as gateway:

        async def ask(key: str) -> Answer:
            return await gateway.post(chat_body(), **bearer(key))

        assert (await ask(limited)).status == 200
        for _ in range(10):
            assert (await ask(once)).status == 200
        back[0] = 3 * 24 * 3600 * 1000
        assert (await ask(limited)).status == 200
        assert (await ask(limited)).status == 200
        (await ask(limited)).error(429, "rate_limit_exceeded")
        (await ask(once)).error(402, "insufficient_quota")
        await booked(gateway)
        assert len(at.usage()) == 13
        assert at.balance() == UNIT - 3 * UNIT // 10
