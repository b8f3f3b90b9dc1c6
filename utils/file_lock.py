"""A lock on a file that ends with its process, however that ends, and whatever the clock says."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FileLock:
    """A lock on the file ``path``, which holds nothing else and exists while the lock is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file >= 0

    def acquire(self) -> bool:
        """Return whether the lock is held now; False while another process holds it.

        Raises OSError where the file cannot be made, or its file system has no locks.
        """
        while not self.held:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(file)
                if _is_at(file, self._path):
                    self._file = file
            except BlockingIOError:
                return False
            finally:
                # Its last holder may have removed it between the two: then there is a new one.
                if not self.held:
                    os.close(file)
        return True

    def release(self) -> None:
        """Remove the file and give the lock up. Harmless when it is not held."""
        if not self.held:
            return
        # Windows removes no open file; the next holder finds it and may have it.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)
        self._file = -1
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self._path.unlink()


def _lock(file: int) -> None:
    """Lock the open file, or raise BlockingIOError at once where another process has it."""
    if sys.platform == "win32":
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
