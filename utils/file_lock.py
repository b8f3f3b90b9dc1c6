"""A lock on a file. The system releases it when the process ends, for any reason."""

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
        """Return whether this object holds the lock."""
        return self._file >= 0

    def acquire(self) -> bool:
        """Try to get the lock. Return whether it is held now; False if another process holds it.

        Raises OSError if the file cannot be made, or if its file system has no locks.
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
                # The last holder may have removed the file before it was locked; then try again.
                if not self.held:
                    os.close(file)
        return True

    def release(self) -> None:
        """Remove the file and release the lock. Does nothing if it is not held."""
        if not self.held:
            return
        # Windows does not remove an open file; the file stays for the next holder.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)
        self._file = -1
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self._path.unlink()


def _lock(file: int) -> None:
    """Lock the open file, or raise BlockingIOError at once if another process has locked it."""
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
