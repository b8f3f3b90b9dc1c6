"""``Part``: a file that is being fetched, on the disk. Its methods block: call them in a thread.

It has the content's name from the first byte on, so every later run continues it. It is locked,
beside itself, while a program writes it: two programs never write one part.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from models.downloads.faults import cannot_write
from utils.file_lock import FileLock
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.downloads.choice import RemoteFile
    from models.downloads.layout import RepoFolder

_STEP = 1 << 22
_LONGEST_MARK = 256


class Part:
    """The part of ``file`` in the cache. Raises the GatewayError of what the disk refuses."""

    def __init__(self, folder: RepoFolder, file: RemoteFile) -> None:
        self.at = 0
        self._file = file
        self._blob = folder.blob(file.digest)
        self._path = folder.part(file.digest)
        self._mark = folder.mark(file.digest)
        self._lock_path = folder.lock(file.digest)
        self._lock = FileLock(self._lock_path)
        self._opened = -1
        self._digest = self._fresh()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there; they may still be wrong."""
        return self.at == self._file.size

    def lock(self) -> bool:
        """Return whether the part is ours now, and not another program's."""
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            return self._lock.acquire()
        except OSError as error:
            raise cannot_write(str(self._lock_path), error) from error

    def open(self, told: Callable[[int], None], stopped: Callable[[], bool]) -> bool:
        """Open what is there and read it again; return False if the whole file is there already.

        ``told`` is called with the bytes that were read. Once ``stopped`` says so, it ends early.
        """
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._blob.stat().st_size == self._file.size:
                    return False
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._opened = os.open(self._path, flags, 0o644)
            if os.fstat(self._opened).st_size > self._file.size:
                self.start_over()
            while (data := os.read(self._opened, _STEP)) and not stopped():
                self._digest.update(data)
                self.at += len(data)
                told(self.at)
        except OSError as error:
            raise cannot_write(str(self._path), error) from error
        return True

    def put(self, data: bytes) -> None:
        """Add the bytes at the end."""
        try:
            left = memoryview(data)
            while left:
                written = os.write(self._opened, left)
                self._digest.update(left[:written])
                self.at += written
                left = left[written:]
        except OSError as error:
            raise cannot_write(str(self._path), error) from error

    def start_over(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._opened, 0)
        os.lseek(self._opened, 0, os.SEEK_SET)
        self.at, self._digest = 0, self._fresh()

    def marked(self) -> str:
        """Return the server's mark of the bytes that are there; "" if it is not known."""
        try:
            return self._mark.read_text(encoding="utf-8")[:_LONGEST_MARK]
        except (OSError, ValueError):
            return ""

    def mark(self, etag: str) -> None:
        """Keep the server's mark. Without it a part is continued all the same."""
        with contextlib.suppress(OSError):
            write_whole(self._mark, etag.encode()[:_LONGEST_MARK])

    def finish(self) -> str:
        """Give the whole file its name if its content is right; return "", else what it is."""
        found = self._digest.hexdigest()
        if found != self._file.digest:
            kind = "sha256" if self._file.large else "sha1"
            return f"its {kind} is {found[:12]}…, not {self._file.digest[:12]}…"
        try:
            os.fsync(self._opened)
            os.close(self._opened)
            self._opened = -1
            os.replace(self._path, self._blob)  # noqa: PTH105 - beside the other calls of os
        except OSError as error:
            raise cannot_write(str(self._blob), error) from error
        self._forget_mark()
        return ""

    def discard(self) -> None:
        """Remove the part: its content is wrong, or nobody wants it."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._forget_mark()

    def close(self) -> None:
        """Close the file and let others have it; the part stays."""
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = -1
        self._lock.release()

    def _forget_mark(self) -> None:
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    def _fresh(self) -> hashlib._Hash:
        if self._file.large:
            return hashlib.sha256()
        # How git names a content.
        return hashlib.sha1(b"blob %d\0" % self._file.size, usedforsecurity=False)
