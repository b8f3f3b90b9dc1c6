"""Files in the page cache: what of them is there, and how it gets there.

To look at a byte that is not cached may bring its page in.
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK = 4 << 20
# For whatever else the machine does meanwhile.
RESERVE = 1 << 30
_LOOKS = 32
# Whether the system has the call that tells what is cached.
TELLS = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")
_MEMORY = Path("/proc/meminfo")


class Reading:
    """Bytes ``done`` that were not cached before.

    ``stopped``, by any thread, ends a run after the block at hand.
    """

    def __init__(self) -> None:
        self.done = 0
        self.stopped = False

    def run(self, paths: Sequence[str], spare: Callable[[], int]) -> None:
        """The files are cached, in order, as far as ``spare()`` bytes go, or until ``stopped``.

        A file that cannot be read is passed over, as is what is cached already; that counts
        against ``spare`` too, which is asked anew for each block.
        """
        buffer = bytearray(BLOCK)
        taken = 0
        for path in paths:
            with contextlib.suppress(OSError, ValueError), _opened(path) as descriptor:
                for block in _blocks(path):
                    taken += BLOCK
                    if self.stopped or taken > spare():
                        return
                    # In two places: at one somebody may have looked before.
                    cached = is_cached(descriptor, (block.start + block.stop) // 2)
                    cached = cached and is_cached(descriptor, block.start)
                    if not cached:
                        read = os.preadv(descriptor, [buffer], block.start)
                        # Where nobody tells, it may have come from memory.
                        self.done += read if cached is False else 0


def spare_memory() -> int:
    """Bytes that files may fill without taking away what a program uses.

    What is mapped counts as available to the system: it could be read again. It is the weights
    of the engines that run.
    """
    amounts = {"MemAvailable": 0, "Mapped": 0}
    with contextlib.suppress(OSError):
        for line in _MEMORY.read_text(encoding="ascii").splitlines():
            name, _, amount = line.partition(":")
            if name in amounts:
                amounts[name] = int(amount.split()[0]) << 10
    return amounts["MemAvailable"] - amounts["Mapped"] - RESERVE


def cached_share(paths: Sequence[str]) -> float | None:
    """How much of the files is cached, from 0 to 1, by looking here and there.

    None where the file system does not tell, or there is no such file.
    """
    step = max(1, sum(len(_blocks(path)) for path in paths) // _LOOKS)
    seen: list[bool | None] = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError), _opened(path) as descriptor:
            for block in _blocks(path)[::step]:
                # Anywhere in it: where somebody has looked before, a page is cached for that.
                at = random.randrange(block.start, block.stop)  # noqa: S311 - no secret
                seen.append(is_cached(descriptor, at))
    known = [each for each in seen if each is not None]
    return sum(known) / len(known) if known else None


def is_cached(descriptor: int, at: int) -> bool | None:
    """Whether that byte can be read without waiting for the disk; None if unknown."""
    try:
        return os.preadv(descriptor, [bytearray(1)], at, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:
        return None


def size_of(path: str) -> int:
    """Bytes of the file; 0 when there is none, or what is there is no plain file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    # Without waiting for somebody who writes into it, were it a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # The system reads nothing on its own account: what is cached was read by somebody.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        yield descriptor
    finally:
        os.close(descriptor)


def _blocks(path: str) -> list[range]:
    size = size_of(path)
    return [range(at, min(at + BLOCK, size)) for at in range(0, size, BLOCK)]
