"""``Outbox``: what a session tells, until its client has taken it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from voice.told import Speech

if TYPE_CHECKING:
    from voice.told import Told

# Who tells more than this waits until the client has taken half of it.
_FULL = 64


class Outbox:
    """Holds what is to be told, in order."""

    def __init__(self) -> None:
        self._told: deque[Told] = deque()
        self._news = asyncio.Event()
        self._space = asyncio.Event()

    def put(self, told: Told) -> None:
        """Add something; nobody waits for it."""
        self._told.append(told)
        self._news.set()

    async def room(self) -> None:
        """Return when the client has taken most of what was told."""
        while len(self._told) > _FULL:
            self._space.clear()
            await self._space.wait()

    def silence(self, turn: int) -> None:
        """Drop the speech of a turn that nobody has taken yet."""
        kept = [each for each in self._told if not isinstance(each, Speech) or each.turn != turn]
        self._told = deque(kept)
        self._tell_space()

    async def take(self) -> Told:
        """Return the next thing to tell, once there is one."""
        while not self._told:
            self._news.clear()
            await self._news.wait()
        told = self._told.popleft()
        self._tell_space()
        return told

    def _tell_space(self) -> None:
        if len(self._told) <= _FULL // 2:
            self._space.set()
