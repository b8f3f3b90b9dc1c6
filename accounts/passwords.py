"""Passwords: kept as argon2id, checked one at a time.

A check takes some 100 ms and 64 MiB on purpose. So only one runs at once, in a thread, and few may
wait for it: a client that sends many cannot take the machine's memory.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from utils.errors import BadRequest, TooManyLogins

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
SHORTEST = 10
# Longer ones are no safer, and hashing a long text would take time.
LONGEST = 256
MOST_WAITING = 8


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Lock()
        self._waiting = 0
        # Compared for accounts that do not exist, so that the time does not tell them apart.
        self._nobody: str | None = None

    async def hashed(self, password: str) -> str:
        """Return what is kept of a new password; BadRequest if it is too short or too long."""
        require_good(password)
        return await self._one_at_a_time(lambda: self._hasher.hash(password))

    async def fits(self, kept: str | None, password: str) -> bool:
        """Return whether this is the password; ``kept`` is None for an account without one."""
        if len(password) > LONGEST:
            return False
        return await self._one_at_a_time(lambda: self._fits(kept, password))

    def _fits(self, kept: str | None, password: str) -> bool:
        if kept is None:
            if self._nobody is None:
                self._nobody = self._hasher.hash(secrets.token_hex())
            self._verified(self._nobody, password)
            return False
        return self._verified(kept, password)

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _one_at_a_time(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in a thread when it is its turn; TooManyLogins if too many wait."""
        if self._waiting >= MOST_WAITING:
            raise TooManyLogins("Too many people log in at once; try again soon.", 5.0)
        self._waiting += 1
        try:
            async with self._turn:
                # It cannot be stopped: the next must not begin before its end.
                return await _to_its_end(work)
        finally:
            self._waiting -= 1


async def _to_its_end(work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread and return its result, even if this task is cancelled meanwhile."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled = False
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return running.result()


def require_good(password: str) -> None:
    """Return if the text can be a password; else BadRequest."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest(f"A password has {SHORTEST} to {LONGEST} characters.", param="password")
