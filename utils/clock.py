"""Time as a thing that is handed in, so that tests can hold it still."""

from __future__ import annotations

import asyncio
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
    """The running event loop's own clock."""

    def now(self) -> float:
        """The loop's monotonic time, in seconds."""
        return asyncio.get_running_loop().time()

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """``call`` runs on the loop at ``when``."""
        return asyncio.get_running_loop().call_at(when, call)

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)
