"""Keep the bytes of an upload until its engine reads them: in memory, or in a temporary file.

The file has no name, or loses it at once, so nothing is left of it however the gateway ends.
Threads do the work on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from utils.errors import StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Read = Callable[[int, int], bytes]

T = TypeVar("T")
_IN_MEMORY = 1024 * 1024
# Bytes of one write, and of one read.
_BATCH = 256 * 1024


class Spool:
    """Bytes that are written once, in order, and can be read several times.

    ``take`` is asked before that number of bytes is kept in memory; it returns whether it may be.
    After it has refused, or after 1 MiB, everything is on disk.
    """

    def __init__(self, take: Callable[[int], bool]) -> None:
        self.size = 0
        self._file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - close()
        self._digest = hashlib.blake2b(digest_size=16)
        self._batch: list[bytes] = []
        self._batched = 0
        self._take = take
        self._in_memory = True
        # A thread may still write for a request that has been cancelled.
        self._lock = Lock()

    @property
    def digest(self) -> bytes:
        """The digest of the contents, after ``flush``."""
        return self._digest.digest()

    async def append(self, data: bytes) -> None:
        """Append ``data``; raise StorageFull if the disk has no room for it."""
        if self._in_memory and (self.size + len(data) > _IN_MEMORY or not self._take(len(data))):
            self._in_memory = False
        self._batch.append(data)
        self._batched += len(data)
        self.size += len(data)
        if self._batched >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Write the appended bytes, so that they can be read."""
        data = b"".join(self._batch)
        self._batch.clear()
        self._batched = 0
        try:
            if self._in_memory:
                self._write(data)
            else:
                await asyncio.to_thread(self._spill, data)
        except OSError as error:
            raise StorageFull(
                f"The upload cannot be kept in {tempfile.gettempdir()}:"
                f" {error.strerror or error}. TMPDIR names another folder."
            ) from error

    async def read(self, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield ``size`` bytes from ``start`` on, in pieces."""
        end = start + size
        while start < end:
            piece = min(_BATCH, end - start)
            if self._in_memory:
                data = self._read(start, piece)
            else:
                data = await asyncio.to_thread(self._read, start, piece)
            start += piece
            yield data

    async def look(self, start: int, size: int, ask: Callable[[Read, int], T]) -> T:
        """Return what ``ask`` finds out about the ``size`` bytes from ``start`` on.

        It gets a function that reads so many bytes from a place in them, and ``size``. It should
        read little.
        """

        def read(at: int, count: int) -> bytes:
            return self._read(start + at, min(count, size - at)) if 0 <= at < size else b""

        return ask(read, size) if self._in_memory else await asyncio.to_thread(ask, read, size)

    def close(self) -> None:
        """Free memory and disk."""
        with self._lock:
            self._file.close()

    def _spill(self, data: bytes) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.rollover()
        self._write(data)

    def _write(self, data: bytes) -> None:
        with self._lock:
            if self._file.closed:
                return
            self._file.write(data)
            self._digest.update(data)

    def _read(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)
