"""Files in the system's page cache: read them into it, and ask how much of them is there.

Asking about a byte that is not cached may read its page into the cache.
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
# Bytes that stay free for the rest of the machine.
RESERVE = 1 << 30
_LOOKS = 32
# Whether the system can tell what is cached.
TELLS = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")
_MEMORY = Path("/proc/meminfo")


class Reading:
    """One preload of files. ``done`` counts the bytes that came from the disk.

    Any thread may set ``stopped``; the run then ends after the current block.
    """

    def __init__(self) -> None:
        self.done = 0
        self.stopped = False

    def run(self, paths: Sequence[str], spare: Callable[[], int]) -> None:
        """Read the files into the page cache, in order, until ``stopped`` or out of memory.

        ``spare`` returns the bytes that may be filled; it is called for each block. Blocks that
        are cached already are not read, but count against it. An unreadable file is skipped.
        """
        buffer = bytearray(BLOCK)
        taken = 0
        for path in paths:
            with contextlib.suppress(OSError, ValueError), _opened(path) as descriptor:
                for block in _blocks(path):
                    taken += BLOCK
                    if self.stopped or taken > spare():
                        return
                    # Two places, because an earlier check may have cached the page at one.
                    cached = is_cached(descriptor, (block.start + block.stop) // 2)
                    cached = cached and is_cached(descriptor, block.start)
                    if not cached:
                        read = os.preadv(descriptor, [buffer], block.start)
                        # If the file system cannot tell, the block may have come from memory.
                        self.done += read if cached is False else 0


def spare_memory() -> int:
    """Return the bytes that files may fill without taking memory that a program uses.

    Mapped files count as available for the system, since it can read them again. Here they are
    the weights of running engines, so they are subtracted.
    """
    amounts = {"MemAvailable": 0, "Mapped": 0}
    with contextlib.suppress(OSError):
        for line in _MEMORY.read_text(encoding="ascii").splitlines():
            name, _, amount = line.partition(":")
            if name in amounts:
                amounts[name] = int(amount.split()[0]) << 10
    return amounts["MemAvailable"] - amounts["Mapped"] - RESERVE


def cached_share(paths: Sequence[str]) -> float | None:
    """Return how much of the files is cached, from 0 to 1, by a sample of their blocks.

    Return None if the file system cannot tell, or no file can be read.
    """
    step = max(1, sum(len(_blocks(path)) for path in paths) // _LOOKS)
    seen: list[bool | None] = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError), _opened(path) as descriptor:
            for block in _blocks(path)[::step]:
                # A random place, because an earlier check has cached the page that it looked at.
                at = random.randrange(block.start, block.stop)  # noqa: S311 - no secret
                seen.append(is_cached(descriptor, at))
    known = [each for each in seen if each is not None]
    return sum(known) / len(known) if known else None


def is_cached(descriptor: int, at: int) -> bool | None:
    """Return whether that byte can be read without waiting for the disk; None if unknown."""
    try:
        return os.preadv(descriptor, [bytearray(1)], at, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:
        return None


def size_of(path: str) -> int:
    """Return the size of a regular file in bytes; 0 for anything else."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    # If the path is a pipe, O_NONBLOCK keeps this from waiting for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # No read-ahead by the system: it would cache blocks that this preload has not read.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        yield descriptor
    finally:
        os.close(descriptor)


def _blocks(path: str) -> list[range]:
    size = size_of(path)
    return [range(at, min(at + BLOCK, size)) for at in range(0, size, BLOCK)]
