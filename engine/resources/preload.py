"""Preload: while the next engine waits to start, read its files into the page cache.

A preload takes memory that is free at the moment, and disk time that the engine would spend soon
itself. It ends when the engine starts, or when another engine is to start next. Blocks that are
cached already are not read again.

The gateway measures whether preloads help. It keeps the times of loads from the disk and of loads
after a preload. If the median after a preload is no shorter, it stops preloading that variant,
and tries again from time to time, because disks and machines change.

This works only where the system can tell what is cached (Linux). Elsewhere nothing is read.
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
_log = get_logger("preload")
# A load counts as preloaded if more than this share of the files came from the disk.
_SHARE = 0.5
# A load counts as one from the disk if at most this share of the files was cached.
_LITTLE = 0.1
# A preload helps if the load takes less than this share of the time of a load from the disk.
_HELPS = 0.9
# How many loads of each kind are needed before they are compared.
_ENOUGH = 3
# After this many loads without a preload, the next one gets a preload.
_RETRY = 8


class _Load:
    """One load. ``kind`` is empty until it is known."""

    def __init__(self) -> None:
        self.kind = ""


class Preloader:
    """Preload for one engine at a time, and remember the load times of all engines."""

    def __init__(
        self,
        loads: LoadTimes,
        *,
        enabled: bool = True,
        spare: Callable[[], int] = spare_memory,
    ) -> None:
        self.loads = loads
        # The variant that starts next.
        self.wanted: VariantSpec | None = None
        self._enabled = enabled and TELLS
        self._spare = spare
        self._tasks = TaskOwner("preload")
        # One thread, so that a read ends before the next read or check begins.
        self._thread = ThreadPoolExecutor(1, "preload")
        # By label: the read for the next load, the current load, and the number of loads since
        # the last preload.
        self._readings: dict[str, tuple[VariantSpec, Reading]] = {}
        self._loads: dict[str, _Load] = {}
        self._alone: dict[str, int] = {}

    def want(self, variant: VariantSpec | None) -> None:
        """Preload for ``variant``, which starts next; None ends the preload, as none waits."""
        if variant is self.wanted:
            return
        if self.wanted is not None and self.wanted.label in self._readings:
            self._readings[self.wanted.label][1].stopped = True
        self.wanted = variant
        if variant is not None and self._enabled and self._helps(variant):
            reading = self._reading(variant)
            reading.stopped = False
            self._readings[variant.label] = variant, reading
            self._tasks.spawn(self._read(variant, reading), variant.label)

    def started(self, variant: VariantSpec) -> None:
        """End the preload of the variant, because its engine now reads the files itself."""
        # By label: a reload of the configuration may have replaced the object.
        if self.wanted is not None and self.wanted.label == variant.label:
            self.want(None)
        if self._enabled:
            load = self._loads[variant.label] = _Load()
            reading = self._reading(variant)
            self._readings.pop(variant.label, None)
            self._tasks.spawn(self._look(variant, reading, load), variant.label)

    def ready(self, variant: VariantSpec, seconds: float) -> None:
        """Remember that the variant's engine was ready after ``seconds``."""
        label = variant.label
        # An engine that is ready before its kind is known has read little: its kind stays "".
        kind = self._loads.pop(label, _Load()).kind
        self._alone[label] = 0 if kind == WARM else self._alone.get(label, 0) + 1
        self.loads.learn(variant, seconds, kind)

    async def close(self) -> None:
        """Stop reading, for good."""
        self._enabled = False
        self.want(None)
        await self._tasks.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _reading(self, variant: VariantSpec) -> Reading:
        """Return the read for this variant; a new one if the definition has changed."""
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
            _log.info("%s: %d of %d MiB preloaded", variant.label, done >> 20, size >> 20)

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
    # The median; of two middle values, the larger. Importing ``statistics`` would take 1.5 MB.
    return sorted(seconds)[len(seconds) // 2]
