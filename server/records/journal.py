"""A bounded list of JSON objects, the newest last, that is kept in a file over restarts.

The file grows by lines; when it has twice as many as the list may hold, it is written anew. In
memory all but the newest lines are compressed, which takes a tenth of the room.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import orjson

from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Entry = dict[str, Any]
# So many lines are compressed together. The fastest level does nearly as well as the best one.
_BLOCK = 64
_FASTEST = 1


class Journal:
    """The last ``room`` entries. ``path`` is their file; None: they are kept in memory alone.

    ``add`` on the event loop; ``load``, before anything is added, and ``save`` block. Only one
    thread saves at a time.
    """

    def __init__(self, path: Path | None, room: int) -> None:
        self._path = path
        self._room = room
        self._blocks: deque[bytes] = deque(maxlen=-(-room // _BLOCK))
        # Fewer than a block has.
        self._newest: list[bytes] = []
        # How many lines the file lacks.
        self._unsaved = 0
        # Held while lines are added or move to a block, so that a thread sees each once.
        self._changing = threading.Lock()
        self._lines = 0
        self._torn = False

    def __len__(self) -> int:
        return min(self._room, len(self._blocks) * _BLOCK + len(self._newest))

    def __iter__(self) -> Iterator[Entry]:
        return map(orjson.loads, self._kept())

    def __reversed__(self) -> Iterator[Entry]:
        """Read the newest entries first, and older ones only when they are wanted."""
        return map(orjson.loads, islice(self._backwards(), self._room))

    def add(self, entry: Entry) -> None:
        """Add an entry; where the list is full, the oldest is forgotten."""
        # A copy: what orjson makes has room for more, which the list would keep.
        line = bytes(memoryview(orjson.dumps(entry)))
        with self._changing:
            self._append(line)
            self._unsaved += 1

    def _append(self, line: bytes) -> None:
        newest = self._newest
        newest.append(line)
        if len(newest) == _BLOCK:
            self._blocks.append(zlib.compress(b"\n".join(newest), _FASTEST))
            newest.clear()

    def _backwards(self) -> Iterator[bytes]:
        with self._changing:
            blocks, newest = list(self._blocks), self._newest[:]
        return _reversed_lines(blocks, newest)

    def _kept(self) -> list[bytes]:
        return _first(self._room, self._backwards())

    def load(self) -> None:
        """Read the entries of earlier runs; a line that cannot be read is left out. OSError."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                lines: deque[bytes] = deque(maxlen=self._room)
                for line in file:
                    lines.append(line)
                    self._lines += 1
        except FileNotFoundError:
            return
        # A write that was cut short must not spoil the next line.
        self._torn = bool(lines) and not lines[-1].endswith(b"\n")
        for line in lines:
            if _is_entry(line):
                self._append(line.rstrip(b"\n"))

    def save(self) -> None:
        """Write the new entries to the file. OSError; then they wait for the next time."""
        if self._path is None:
            return
        with self._changing:
            unsaved, blocks, newest = self._unsaved, list(self._blocks), self._newest[:]
        if not unsaved:
            return
        whole = self._lines + min(unsaved, self._room) > 2 * self._room
        count = min(self._room if whole else unsaved, self._room, _count(blocks, newest))
        pieces = _last(count, blocks, newest)
        if whole:
            write_whole(self._path, pieces)
            self._lines = count
        else:
            _append(self._path, chain([b"\n"] if self._torn else (), pieces))
            self._torn = False
            self._lines += count
        with self._changing:
            self._unsaved -= unsaved


def _reversed_lines(blocks: list[bytes], newest: list[bytes]) -> Iterator[bytes]:
    yield from reversed(newest)
    for block in reversed(blocks):
        yield from reversed(zlib.decompress(block).split(b"\n"))


def _first(count: int, backwards: Iterator[bytes]) -> list[bytes]:
    """Return so many of the lines that come newest first, the oldest of them first."""
    lines = list(islice(backwards, count))
    lines.reverse()
    return lines


def _count(blocks: list[bytes], newest: list[bytes]) -> int:
    return len(blocks) * _BLOCK + len(newest)


def _last(count: int, blocks: list[bytes], newest: list[bytes]) -> Iterator[bytes]:
    """Yield the last ``count`` lines, the oldest first, a block at a time.

    All of them at once would take megabytes, which the process keeps for ever.
    """
    passed, begin = divmod(_count(blocks, newest) - count, _BLOCK)
    older = (zlib.decompress(block).split(b"\n") for block in blocks[passed:])
    for lines in chain(older, [newest]):
        yield b"".join([line + b"\n" for line in lines[begin:]])
        begin = 0


def _append(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(file, "wb") as out:
        out.writelines(pieces)


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False
