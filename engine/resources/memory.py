"""Measure the memory of running engines, and wait for the memory of ended ones before a start.

A driver returns an engine's memory some time after the engine's exit. So a start within ``wait``
seconds of an exit checks every ``POLL`` seconds whether enough memory is free (``rules.is_back``).
It goes on as soon as there is enough, or when ``wait`` is over. Other starts do not check.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from engine.base import LogReader
from engine.resources.learnt_store import LearntNeeds
from engine.resources.probe import MachineProbe, MemoryProbe, Usage
from engine.resources.rules import combined, expected, is_back, moved, peak
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import Shortage
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("memory")
POLL = 0.05
# Seconds from an engine's readiness to its first measurement.
SETTLED = 1.0
# Seconds between two measurements, at first and at most. Memory grows with the first requests.
SOON = 2.0
EVERY = 30.0
# The share of an engine's memory to wait for; other programs may take some of the rest.
_SHARE = 0.9
# Seconds to wait for the driver's answer. It may never come, and no start or stop depends on it.
_PATIENCE = 1.0


class Memory:
    """What all engines share: the probe, the learnt needs, and the memory not yet returned."""

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
        """Return the memory of one run of the variant; ``reader`` reads the engine's output."""
        return EngineMemory(self, variant, reader or LogReader())

    def known(self, variant: VariantSpec) -> dict[str, int]:
        """Return the learnt needs of the variant as it is defined now, in bytes by resource."""
        return self.learnt.known(variant)

    def ended(self, level: dict[str, int]) -> None:
        """Note that an engine has ended. ``level`` bytes are free once its memory is back."""
        if self.wait:
            self._owed = [*self.owed(), (self.clock.now() + self.wait, level)]

    def owed(self) -> list[tuple[float, dict[str, int]]]:
        """Return what starts wait for: (the end of the wait, bytes free by then by resource)."""
        now = self.clock.now()
        return [(until, level) for until, level in self._owed if until > now]


class EngineMemory:
    """The memory of one run of an engine."""

    def __init__(self, shared: Memory, variant: VariantSpec, reader: LogReader) -> None:
        self._shared = shared
        self._reader = reader
        self._key = shared.learnt.key(variant)
        self._learnt = shared.learnt.of(self._key)
        self._variant = variant
        self._said_moved = False
        self._declared = variant.needs
        self._used = Usage({}, {})
        self._free: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def owed(self) -> bool:
        """Return whether a start must wait: an engine has just ended."""
        return bool(self._shared.owed())

    async def back(self) -> None:
        """Return once enough memory is free, or ``wait`` seconds after the last engine's end."""
        clock = self._shared.clock
        began = clock.now()
        while owed := self._shared.owed():
            level: dict[str, int] = {}
            for _, back in owed:
                level = peak(level, back)
            # A variant that was measured needs none of the resources that it did not use then.
            unused = dict.fromkeys(level, 0) if self._learnt else {}
            needs = unused | expected(self._variant.estimated, self._learnt) | dict(self._declared)
            if is_back(await self._look(), needs, level):
                return
            await clock.sleep(POLL)
        _log.info("after %.1f s some memory of ended engines is not free", clock.now() - began)

    async def watch(self, pid: int, report: Callable[[dict[str, int]], None]) -> None:
        """Measure the engine until cancelled; report and remember what is new."""
        pause = SOON
        # A measurement costs 30 ms, which the request that waited for the engine should not pay.
        await self._shared.clock.sleep(SETTLED)
        while True:
            self._used = await asyncio.to_thread(self._shared.probe.used_by, pid)
            self.learn(report)
            await self._shared.clock.sleep(pause)
            pause = min(EVERY, 2 * pause)

    def learn(self, report: Callable[[dict[str, int]], None]) -> None:
        """Report and remember what is known of the engine's memory, if it has changed."""
        amounts = combined(self._used.held, self._reader.amounts())
        if amounts and amounts != self._told:
            self._told = amounts
            self._shared.learnt.learn(self._key, amounts)
            report(amounts)
            self._say_moved(amounts)

    def _say_moved(self, amounts: dict[str, int]) -> None:
        away = moved(self._variant.estimated, amounts)
        if away and not self._said_moved:
            self._said_moved = True
            _log.warning(
                "%s has %.1f GiB less on the GPU than planned: layers are in main memory, as too "
                "little was free",
                self._variant.label,
                away / 2**30,
            )

    async def leaving(self) -> None:
        """Measure the free memory just before the engine is stopped."""
        if self._shared.wait and self._used.returns:
            self._free = await self._look()

    async def _look(self) -> dict[str, int]:
        """Return the free bytes by resource; empty if the driver does not answer in time."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.to_thread(self._shared.probe.free)
        except TimeoutError:
            return {}

    def ended(self) -> None:
        """Note that the engine's processes have ended; starts wait for their memory."""
        self._shared.ended(
            {
                name: self._free[name] + int(_SHARE * amount)
                for name, amount in self._used.returns.items()
                if name in self._free
            }
        )

    def shortage(self, status: int) -> Shortage | None:
        """Return which memory was too small if that ended the engine (``status``), else None."""
        return self._reader.shortage(status)
