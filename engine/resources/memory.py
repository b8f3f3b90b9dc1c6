"""The engines' memory as they live: waited for before a start, measured, learnt, given back.

A driver returns an engine's memory some time after its exit. A start within ``wait`` seconds of
one looks every ``POLL`` seconds whether there is enough, by ``needs.is_back``, and goes on when
the ``wait`` is over in any case; others do not look at all.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from engine.base import LogReader
from engine.resources.learnt_store import LearntNeeds
from engine.resources.probe import MachineProbe, MemoryProbe, Usage
from engine.resources.rules import combined, is_back, peak
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import Shortage
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("memory")
POLL = 0.05
# From an engine's readiness to the first look at it.
SETTLED = 1.0
# Between two looks: its first requests make it grow, later ones seldom.
SOON = 2.0
EVERY = 30.0
# Others take a little meanwhile; the rest of it may well be theirs.
_SHARE = 0.9
# A driver in trouble may never answer; no engine's start or end waits for that.
_PATIENCE = 1.0


class Memory:
    """What all engines share: the meter, what was learnt, and what has yet to come back."""

    def __init__(
        self,
        clock: Clock,
        learnt: LearntNeeds | None = None,
        probe: MemoryProbe | None = None,
        wait: float = 5.0,
    ) -> None:
        self.clock = clock
        self.learnt = learnt or LearntNeeds(None, os.environ)
        self.probe = probe or MachineProbe()
        self.wait = wait
        self._owed: list[tuple[float, dict[str, int]]] = []

    def engine(self, variant: VariantSpec, reader: LogReader | None = None) -> EngineMemory:
        """The memory of one run of the variant, whose output ``reader`` reads."""
        return EngineMemory(self, variant, reader or LogReader())

    def known(self, variant: VariantSpec) -> dict[str, int]:
        """What was learnt of the variant as it is defined now."""
        return self.learnt.of(self.learnt.key(variant))

    def ended(self, level: dict[str, int]) -> None:
        """An engine is gone; when all is back, there is ``level`` free, as far as is known."""
        if self.wait:
            self._owed = [*self.owed(), (self.clock.now() + self.wait, level)]

    def owed(self) -> list[tuple[float, dict[str, int]]]:
        """Until when what is awaited."""
        now = self.clock.now()
        return [(until, level) for until, level in self._owed if until > now]


class EngineMemory:
    """The memory of one run of an engine."""

    def __init__(self, shared: Memory, variant: VariantSpec, reader: LogReader) -> None:
        self._shared = shared
        self._reader = reader
        self._key = shared.learnt.key(variant)
        self._learnt = shared.learnt.of(self._key)
        self._declared = variant.needs
        self._used = Usage({}, {})
        self._free: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def owed(self) -> bool:
        """Whether a start must look first: engines have just ended."""
        return bool(self._shared.owed())

    async def back(self) -> None:
        """There is room, as far as is known, or ``wait`` is over since the last engine's end."""
        clock = self._shared.clock
        began = clock.now()
        while owed := self._shared.owed():
            level: dict[str, int] = {}
            for _, expected in owed:
                level = peak(level, expected)
            # Who was measured once needs nothing of what it did not take then.
            unused = dict.fromkeys(level, 0) if self._learnt else {}
            needs = unused | self._learnt | dict(self._declared)
            if is_back(await self._look(), needs, level):
                return
            await clock.sleep(POLL)
        _log.info("after %.1f s not all memory of ended engines is back", clock.now() - began)

    async def watch(self, pid: int, report: Callable[[dict[str, int]], None]) -> None:
        """Whatever is measured is reported and learnt, until cancelled."""
        pause = SOON
        # The first moments belong to whoever waited for the engine: looking costs them 30 ms.
        await self._shared.clock.sleep(SETTLED)
        while True:
            self._used = await asyncio.to_thread(self._shared.probe.used_by, pid)
            self.learn(report)
            await self._shared.clock.sleep(pause)
            pause = min(EVERY, 2 * pause)

    def learn(self, report: Callable[[dict[str, int]], None]) -> None:
        """What is known of the engine's memory by now is reported and learnt, if it is news."""
        amounts = combined(self._used.held, self._reader.amounts())
        if amounts and amounts != self._told:
            self._told = amounts
            self._shared.learnt.learn(self._key, amounts)
            report(amounts)

    async def leaving(self) -> None:
        """The engine is about to be stopped: what is free beside it is noted."""
        if self._shared.wait and self._used.returns:
            self._free = await self._look()

    async def _look(self) -> dict[str, int]:
        """What is free; nothing is known of it while the driver does not answer."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.to_thread(self._shared.probe.free)
        except TimeoutError:
            return {}

    def ended(self) -> None:
        """The engine's processes are gone; starts wait for what they held."""
        self._shared.ended(
            {
                name: self._free[name] + int(_SHARE * amount)
                for name, amount in self._used.returns.items()
                if name in self._free
            }
        )

    def shortage(self, status: int) -> Shortage | None:
        """Which memory the engine ran out of, if that is why it ended with ``status``."""
        return self._reader.shortage(status)
