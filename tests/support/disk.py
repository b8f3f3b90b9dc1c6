"""Remove files from the system's page cache."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from engine.resources.page_cache import cached_share

if TYPE_CHECKING:
    from pathlib import Path


# Seconds.
_PATIENCE = 5.0


def evict(path: str | Path) -> None:
    """Make the system drop the file from its page cache. No effect for a file system in memory.

    A page that is in use at the moment stays, so this tries again while a part is left.
    """
    deadline = time.monotonic() + _PATIENCE
    _advise(path)
    while cached_share([str(path)]) not in {0.0, 1.0, None} and time.monotonic() < deadline:
        time.sleep(0.01)
        _advise(path)


def _advise(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
