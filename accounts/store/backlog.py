"""``Backlog``: rows that the database does not have yet, in files beside it.

A row is appended before anybody relies on it, so it outlives the process; the next gateway books
what is left. A file is emptied when the database has all of its rows. There are two: while one is
filled, the other is emptied. After a crash they may hold rows that were booked already, so
requests must be booked by their ids.

``add`` is called by the loop, and ``booked`` by the thread that writes the database.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

import orjson

from accounts.store.rows import Hold, Settlement
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Row = Hold | Settlement
_log = get_logger("accounts")
# Bytes after which the other file is used, if it is empty.
_ENOUGH = 256 * 1024
_KINDS: dict[bytes, type[Row]] = {b"h": Hold, b"s": Settlement}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


class Backlog:
    """The files ``NAME.0.backlog`` and ``NAME.1.backlog``, which their owner alone can read.

    First ``read``, then ``open``, which empties them; ``close`` at the end.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.paths = [folder / f"{name}.{number}.backlog" for number in (0, 1)]
        self._files: list[int] = []
        self._sizes = [0, 0]
        # Rows in each file that the database lacks.
        self._rows = [0, 0]
        self._active = 0
        self._lock = threading.Lock()

    def read(self) -> list[Row]:
        """Return the rows that an earlier gateway has left."""
        found = (path.read_bytes() for path in self.paths if path.exists())
        lines = [line for text in found for line in text.splitlines()]
        return [row for line in lines if (row := _understood(line)) is not None]

    def open(self) -> None:
        """Make empty files. OSError where that cannot be."""
        for path in self.paths:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._files.append(os.open(path, flags, 0o600))

    def add(self, row: Row) -> int | None:
        """Append a row; return the number of its file, or None where it cannot be kept."""
        line = _LETTERS[type(row)] + orjson.dumps(row) + b"\n"
        with self._lock:
            active = self._active
            if self._sizes[active] >= _ENOUGH and not self._sizes[1 - active]:
                self._active = active = 1 - active
            if not self._files or not self._append(active, line):
                return None
            self._sizes[active] += len(line)
            self._rows[active] += 1
        return active

    def _append(self, number: int, line: bytes) -> bool:
        file = self._files[number]
        try:
            if os.write(file, line) == len(line):
                return True
            # The disk is full. What follows must not be taken for the rest of this row.
            os.ftruncate(file, self._sizes[number])
        except OSError:
            return False
        return False

    def booked(self, numbers: Iterable[int]) -> None:
        """Note that the database has rows of these files; empty a file that is not in use."""
        counts = Counter(numbers)
        with self._lock:
            for number, count in counts.items():
                self._rows[number] -= count
            idle = 1 - self._active
            if self._rows[idle] or not self._sizes[idle] or not self._files:
                return
        # Nothing is added to this file as long as it has a size.
        if self._emptied(idle):
            self._sizes[idle] = 0

    def rest(self) -> None:
        """Empty the file in use, if the database has all of it; for times without requests."""
        with self._lock:
            active = self._active
            if self._files and self._sizes[active] and not self._rows[active]:
                self._sizes[active] = 0 if self._emptied(active) else self._sizes[active]

    def _emptied(self, number: int) -> bool:
        try:
            os.ftruncate(self._files[number], 0)
        except OSError:
            return False
        return True

    def close(self) -> int:
        """Close the files, and remove them if the database has everything.

        Return how many rows wait in them for the next gateway.
        """
        with self._lock:
            files, self._files = self._files, []
            for file in files:
                os.close(file)
            left = sum(self._rows)
            if files and not left:
                for path in self.paths:
                    path.unlink(missing_ok=True)
        return left


def _understood(line: bytes) -> Row | None:
    kind = _KINDS.get(line[:1])
    if kind is not None:
        try:
            found = orjson.loads(line[1:])
            # Another version of the gateway may know other columns.
            known = {each.name for each in fields(kind)}
            return kind(**{name: value for name, value in found.items() if name in known})
        except (ValueError, TypeError, AttributeError):
            pass
    _log.error("a row of the accounts that was kept cannot be read: %.200r", line)
    return None
