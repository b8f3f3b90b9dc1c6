"""Remove files from the system's page cache."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from engine.resources.page_cache import cached_share

if TYPE_CHECKING:
    from pathlib import Path


# Seconds.
# Seconds after which a file that is there as a whole is taken for one in memory.
_IN_MEMORY = 1.0
_PATIENCE = 5.0


def evict(path: str | Path) -> None:
    """Make the system drop the file from its page cache. No effect for a file system in memory.

    A page that is in use at the moment stays, or one that was written a moment ago, so this tries
    again while a part is left.
    """
    began = time.monotonic()
    while True:
        _advise(path)
        share = cached_share([str(path)])
        patience = _IN_MEMORY if share == 1.0 else _PATIENCE
        if share in {0.0, None} or time.monotonic() > began + patience:
            return
        time.sleep(0.01)


def _advise(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
