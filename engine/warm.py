"""The files of the engine that starts next are read into the page cache while it must wait.

A read costs memory that nobody else wants at the moment, and disk time that the engine would
spend itself a little later. It ends when the engine starts, or another is to be next. What lies
in the cache already is not read again. Where a load after a read took no less time than one
from the disk, that variant is left alone.

Only where the system tells what is cached (Linux); elsewhere nothing is read.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from engine.carry.fingerprint import files_of, with_shards
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.learnt import LoadTimes
    from models.spec import VariantSpec

_log = get_logger("warm")
BLOCK = 4 << 20
# For whatever else the machine does meanwhile.
RESERVE = 1 << 30
# So much of the files, when it came from the disk, makes a difference that can be measured.
_SHARE = 0.5
# Warmed loads that take longer than this share of cold ones are not worth the reading.
_HELPS = 0.9
COLD, WARM = "cold", "warm"


def _spare() -> int:
    return int(psutil.virtual_memory().available) - RESERVE


class Warmer:
    """Reads ahead for one engine at a time, and remembers the load times of all."""

    def __init__(
        self, loads: LoadTimes, *, enabled: bool = True, spare: Callable[[], int] = _spare
    ) -> None:
        self.loads = loads
        self._enabled = enabled and hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")
        self._spare = spare
        self._tasks = TaskOwner("warm")
        self._next: VariantSpec | None = None
        self._stop = threading.Event()
        self._kinds: dict[str, str] = {}

    def want(self, variant: VariantSpec | None) -> None:
        """``variant`` starts as soon as there is room for it; None: nobody waits for a start."""
        if variant is self._next:
            return
        self._next = variant
        self._stop.set()
        if variant is not None and self._enabled and self._helps(variant):
            self._stop = threading.Event()
            self._tasks.spawn(self._warm(variant, self._stop), variant.label)

    def started(self, variant: VariantSpec) -> None:
        """Its engine reads for itself from now on."""
        if variant is self._next:
            self.want(None)
        elif self._enabled:
            self._kinds.pop(variant.label, None)
        if self._enabled and variant.label not in self._kinds:
            self._tasks.spawn(self._look(variant), variant.label)

    def ready(self, variant: VariantSpec, seconds: float) -> None:
        """Its engine took so long."""
        self.loads.learn(variant, seconds, self._kinds.pop(variant.label, ""))

    async def close(self) -> None:
        """Nothing is read any more."""
        self._stop.set()
        await self._tasks.cancel()

    def _helps(self, variant: VariantSpec) -> bool:
        cold, warm = self.loads.seconds(variant, COLD), self.loads.seconds(variant, WARM)
        return not (cold and warm) or warm < _HELPS * cold

    async def _warm(self, variant: VariantSpec, stop: threading.Event) -> None:
        read, size = await asyncio.to_thread(warm, paths_of(variant), self._spare(), stop)
        if read:
            _log.info("%s: %d of %d MiB read ahead", variant.label, read >> 20, size >> 20)
        if read > _SHARE * size:
            self._kinds[variant.label] = WARM

    async def _look(self, variant: VariantSpec) -> None:
        cached, size = await asyncio.to_thread(cached_share, paths_of(variant))
        if size and cached < 1 - _SHARE:
            self._kinds[variant.label] = COLD


def paths_of(variant: VariantSpec) -> list[str]:
    """The files that an engine of the variant reads when it loads."""
    return with_shards(files_of(variant.args))


def warm(paths: list[str], budget: int, stop: threading.Event) -> tuple[int, int]:
    """Files are in the page cache, as far as ``budget`` bytes go; bytes read from disk, and all.

    Returns at once after ``stop``; a file that cannot be read is passed over.
    """
    size = sum(map(_size, paths))
    buffer = bytearray(BLOCK)
    read = taken = 0
    for descriptor, offset in _blocks(paths):
        if stop.is_set() or taken + BLOCK > budget:
            break
        taken += BLOCK
        if not is_cached(descriptor, offset):
            read += os.preadv(descriptor, [buffer], offset)
    return read, size


def cached_share(paths: list[str], step: int = 16) -> tuple[float, int]:
    """How much of the files is in the page cache, by every ``step``-th block; and their size.

    Not where ``warm`` looks: it would take what was looked at for what was read.
    """
    seen = [
        is_cached(descriptor, at, BLOCK // 4)
        for n, (descriptor, at) in enumerate(_blocks(paths))
        if n % step == 0
    ]
    return sum(seen) / max(1, len(seen)), sum(map(_size, paths))


def is_cached(descriptor: int, offset: int, within: int = BLOCK // 2) -> bool:
    """Whether a byte of the block can be read without waiting for the disk; False if unknown.

    To look may bring the pages around that byte into the cache.
    """
    byte = bytearray(1)
    for at in (offset + within, offset):
        try:
            if os.preadv(descriptor, [byte], at, os.RWF_NOWAIT):
                return True
        except OSError:
            return False
    return True


def _blocks(paths: list[str]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            # The system reads nothing on its own account: what is cached was read by somebody.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            for offset in range(0, _size(path), BLOCK):
                yield descriptor, offset
        except OSError as error:
            _log.debug("%s: %s", path, error)
        finally:
            os.close(descriptor)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
