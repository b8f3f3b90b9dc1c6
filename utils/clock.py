"""The clock, as an object that callers pass in, so that tests can control time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call. Does nothing if it has already run."""


class Clock(Protocol):
    """Monotonic time, and calls at a later time."""

    def now(self) -> float:
        """Return the current time in seconds; only differences have a meaning."""
        ...

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Schedule ``call`` for the time ``when``, and return its timer."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class LoopClock:
    """The machine's monotonic clock, and calls on the running event loop.

    It does not use the loop's ``time()``: uvloop counts in whole milliseconds, and finding the
    running loop costs a system call each time in Python 3.11.
    """

    now = staticmethod(time.monotonic)

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Schedule ``call`` on the running loop for the time ``when``, and return its timer."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), call)

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)
