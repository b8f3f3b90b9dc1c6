"""The files of the engine that starts next are read into the page cache while it must wait.

A read costs memory that nobody else wants at the moment, and disk time that the engine would
spend itself a little later. It ends when the engine starts, or another is to be next. What lies
in the cache already is not read again.

Whether it helps is measured: loads from the disk, and loads after a read. Where the latter are no
faster, by the medians of several, that variant is left alone; but once in a while it is tried
again, for disks, machines and luck change.

Only where the system tells what is cached (Linux); elsewhere nothing is read.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from engine.resources.learnt_store import COLD, WARM
from engine.resources.page_cache import TELLS, Reading, cached_share, size_of, spare_memory
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.resources.learnt_store import LoadTimes
    from models.spec import VariantSpec

_T = TypeVar("_T")
_log = get_logger("warm")
# So much of the files, when it came from the disk, makes a difference that can be measured.
_SHARE = 0.5
# A load with no more of them in the cache comes from the disk.
_LITTLE = 0.1
# Loads after a read that take longer than this share of others are not worth the reading.
_HELPS = 0.9
# So many of each kind, before anything is said of them.
_ENOUGH = 3
# After so many loads that were left alone, another is read for.
_RETRY = 8


class _Load:
    """One load: what kind it is, as far as it is known."""

    def __init__(self) -> None:
        self.kind = ""


class Preloader:
    """Reads ahead for one engine at a time, and remembers the load times of all."""

    def __init__(
        self,
        loads: LoadTimes,
        *,
        enabled: bool = True,
        spare: Callable[[], int] = spare_memory,
    ) -> None:
        self.loads = loads
        self._enabled = enabled and TELLS
        self._spare = spare
        self._tasks = TaskOwner("warm")
        # One thread: a read ends before the next begins, and before anybody looks what is cached.
        self._thread = ThreadPoolExecutor(1, "warm")
        self._next: VariantSpec | None = None
        # By label: what was read for the load to come, the load under way, and how many there
        # were since the last that was read for.
        self._readings: dict[str, tuple[VariantSpec, Reading]] = {}
        self._loads: dict[str, _Load] = {}
        self._alone: dict[str, int] = {}

    def want(self, variant: VariantSpec | None) -> None:
        """``variant`` starts as soon as there is room for it; None: nobody waits for a start."""
        if variant is self._next:
            return
        if self._next is not None and self._next.label in self._readings:
            self._readings[self._next.label][1].stopped = True
        self._next = variant
        if variant is not None and self._enabled and self._helps(variant):
            reading = self._reading(variant)
            reading.stopped = False
            self._readings[variant.label] = variant, reading
            self._tasks.spawn(self._read(variant, reading), variant.label)

    def started(self, variant: VariantSpec) -> None:
        """Its engine reads for itself from now on."""
        # It may have been read again from the configuration since it was wanted.
        if self._next is not None and self._next.label == variant.label:
            self.want(None)
        if self._enabled:
            load = self._loads[variant.label] = _Load()
            reading = self._reading(variant)
            self._readings.pop(variant.label, None)
            self._tasks.spawn(self._look(variant, reading, load), variant.label)

    def ready(self, variant: VariantSpec, seconds: float) -> None:
        """Its engine took so long."""
        label = variant.label
        # An engine that is ready before its kind is known has not read much: it has none.
        kind = self._loads.pop(label, _Load()).kind
        self._alone[label] = 0 if kind == WARM else self._alone.get(label, 0) + 1
        self.loads.learn(variant, seconds, kind)

    async def close(self) -> None:
        """Nothing is read any more, from now on."""
        self._enabled = False
        self.want(None)
        await self._tasks.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _reading(self, variant: VariantSpec) -> Reading:
        """What was read for it; nothing yet of one that was defined otherwise."""
        before, reading = self._readings.get(variant.label, (variant, Reading()))
        return reading if before == variant else Reading()

    def _helps(self, variant: VariantSpec) -> bool:
        cold, warm = (self.loads.times(variant, kind) for kind in (COLD, WARM))
        if min(len(cold), len(warm)) < _ENOUGH or _middle(warm) < _HELPS * _middle(cold):
            return True
        return self._alone.get(variant.label, 0) >= _RETRY

    async def _read(self, variant: VariantSpec, reading: Reading) -> None:
        def read() -> tuple[int, int]:
            before, paths = reading.done, self.loads.files(variant)
            reading.run(paths, self._spare)
            return reading.done - before, sum(map(size_of, paths))

        done, size = await self._in_thread(read)
        if done:
            _log.info("%s: %d of %d MiB read ahead", variant.label, done >> 20, size >> 20)

    async def _look(self, variant: VariantSpec, reading: Reading, load: _Load) -> None:
        def look() -> str:
            paths = self.loads.files(variant)
            size = sum(map(size_of, paths))
            if reading.done > _SHARE * size:
                return WARM
            share = cached_share(paths)
            return COLD if share is not None and share <= _LITTLE else ""

        load.kind = await self._in_thread(look)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _middle(seconds: Sequence[float]) -> float:
    # The median, the larger one of two. To import ``statistics`` takes 1.5 MB for good.
    return sorted(seconds)[len(seconds) // 2]
