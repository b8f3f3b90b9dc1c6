"""The last log lines of the gateway and of each engine, in memory, for ``/logs``.

Each source has its own limit of lines and of characters, so an engine with much output does not
push out the lines of others. Any thread may add lines; listeners run on the event loop.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from utils.feed import Feed, Subscription
from utils.logger import ENGINES

if TYPE_CHECKING:
    import asyncio

KEPT_LINES = 1000
KEPT_CHARACTERS = 256 * 1024
# The source of the gateway's own lines.
GATEWAY = ""


class Line(NamedTuple):
    """One line; ``source`` is a model's name, or GATEWAY. Numbers grow with time."""

    number: int
    source: str
    text: str


class _Page(deque[Line]):
    """The last lines of one source."""

    def __init__(self, lines: int, characters: int) -> None:
        super().__init__()
        self._lines = lines
        self._characters = characters
        self._size = 0

    def write(self, line: Line) -> None:
        """Keep the line, and drop the oldest lines beyond the limits."""
        self.append(line)
        self._size += len(line.text)
        while len(self) > self._lines or (self._size > self._characters and len(self) > 1):
            self._size -= len(self.popleft().text)


class LogBook(logging.Handler):
    """Keeps the lines that are added, and, as a handler of a logger, what is logged."""

    def __init__(self, lines: int = KEPT_LINES, characters: int = KEPT_CHARACTERS) -> None:
        super().__init__()
        self.feed: Feed[Line] = Feed(lines)
        self._limits = lines, characters
        self._guard = threading.RLock()
        self._pages: dict[str, _Page] = {}
        self._number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Publish to listeners on ``loop``, which runs in the calling thread."""
        self._loop = loop
        self._thread = threading.get_ident()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record. There are no filters here, and ``add`` has its own lock."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as a line of the gateway. Lines of engines come through ``add``."""
        if record.name.startswith(ENGINES):
            return
        try:
            self.add(GATEWAY, self.format(record))
        except Exception:  # noqa: BLE001 - as logging.Handler requires: logging never raises
            self.handleError(record)

    def add(self, source: str, text: str) -> None:
        """Keep the line and publish it. A text of several lines counts as one."""
        with self._guard:
            self._number += 1
            line = Line(self._number, source, text)
            if source not in self._pages:
                self._pages[source] = _Page(*self._limits)
            self._pages[source].write(line)
            if not len(self.feed):
                return
            if threading.get_ident() == self._thread:
                self.feed.publish(line)
            elif self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.feed.publish, line)

    def lines(self, source: str | None = None) -> list[Line]:
        """Return the kept lines of one source, or of all, in the order of their numbers."""
        with self._guard:
            pages = self._pages.values() if source is None else [self._pages.get(source, ())]
            return list(heapq.merge(*map(tuple, pages)))

    def follow(self, source: str | None = None) -> tuple[list[Line], Subscription[Line], int]:
        """Return ``lines(source)``, a subscription to all later lines, and the last number.

        The subscription may repeat a line of another thread. Ignore lines whose number is not
        above the last.
        """
        with self._guard:
            return self.lines(source), self.feed.subscribe(), self._number
