"""``Idle``: has the assistant speak again where the user says nothing to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from utils.clock import Clock
    from voice.session import Session


class Idle:
    """Calls ``prompt`` once, if after an answer nobody speaks for some time."""

    def __init__(self, session: Session, clock: Clock, prompt: Callable[[float], None]) -> None:
        self._session = session
        self._clock = clock
        self._prompt = prompt
        self._waiting: asyncio.Task[None] | None = None
        # Until somebody has spoken, a further answer is not waited for: it would never end.
        self._called = False

    def wait(self, seconds: float | None) -> None:
        """Wait so long after what is played now; None: not at all."""
        self.stop()
        if seconds is not None and not self._called:
            self._waiting = self._session.spawn(self._wait(seconds), "idle")

    def stop(self) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def spoken(self) -> None:
        """Take in that somebody speaks."""
        self.stop()
        self._called = False

    async def _wait(self, seconds: float) -> None:
        await self._clock.sleep(self._session.unheard() + seconds)
        self._called, self._waiting = True, None
        self._prompt(seconds)
