"""accounts/passwords.py: hashed one at a time, by few at once."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from raw_client import PATIENCE

from accounts.passwords import LONGEST, MOST_WAITING, Passwords, require_good
from utils.errors import BadRequest, TooManyLogins

if TYPE_CHECKING:
    from collections.abc import Callable

# Cheap, for tests.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "correct horse"


class Held(PasswordHasher):
    """Hashes when it is let, and counts how many hash at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.begun = threading.Event()
        self.go = threading.Event()
        self.at_once = self.most = 0

    def hash(self, password: str | bytes, **more: Any) -> str:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        self.go.wait(PATIENCE)
        self.at_once -= 1
        return super().hash(password, **more)


async def until(happened: Callable[[], object]) -> None:
    while not happened():
        await asyncio.sleep(0)


async def test_a_password_fits_what_is_kept_of_it() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hashed(GOOD)
    assert kept.startswith("$argon2id$")
    assert GOOD not in kept
    assert await passwords.fits(kept, GOOD)
    assert not await passwords.fits(kept, GOOD + "!")
    for nothing in (None, "", "no hash"):
        assert not await passwords.fits(nothing, GOOD)
    assert not await passwords.fits(kept, "x" * (LONGEST + 1))


async def test_a_guess_costs_what_argon2_recommends() -> None:
    kept = extract_parameters(await Passwords().hashed(GOOD))
    assert (kept.time_cost, kept.memory_cost, kept.parallelism) == (3, 65536, 4)


@pytest.mark.parametrize("bad", ["", "x" * 9, "x" * (LONGEST + 1)])
def test_what_is_no_password(bad: str) -> None:
    with pytest.raises(BadRequest):
        require_good(bad)


async def test_one_at_a_time_and_few_wait() -> None:
    hasher = Held()
    passwords = Passwords(hasher)
    tasks = [asyncio.create_task(passwords.hashed(GOOD)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyLogins):
        await passwords.hashed(GOOD)
    await asyncio.to_thread(hasher.begun.wait)
    hasher.go.set()
    assert len({*await asyncio.gather(*tasks)}) == MOST_WAITING
    assert hasher.most == 1


async def test_a_client_that_leaves_does_not_let_the_next_begin_early() -> None:
    hasher = Held()
    passwords = Passwords(hasher)
    left, waits = (asyncio.create_task(passwords.hashed(GOOD)) for _ in range(2))
    await asyncio.to_thread(hasher.begun.wait)
    left.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (left.done(), hasher.most) == (False, 1)
    hasher.go.set()
    assert await waits
    with pytest.raises(asyncio.CancelledError):
        await left
    assert hasher.most == 1
