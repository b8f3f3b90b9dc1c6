"""Time as a thing that is handed in, so that tests can hold it still."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A call that is due later and can be called off."""

    def cancel(self) -> None:
        """The call does not happen; harmless when it already has."""


class Clock(Protocol):
    """Monotonic seconds, and calls at a later second."""

    def now(self) -> float:
        """The present moment, in seconds; only differences mean anything."""
        ...

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """``call`` runs once ``now()`` has reached ``when``."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class LoopClock:
    """The machine's monotonic clock, and calls on the running event loop.

    Not the loop's own ``time()``: uvloop works in whole milliseconds, and each look-up of
    the running loop is a system call in Python 3.11.
    """

    now = staticmethod(time.monotonic)

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """``call`` runs on the loop at ``when``."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), call)

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)
