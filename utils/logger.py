"""Logging: one line for each record on stderr, and the last lines of every source in memory.

No line holds the contents of a request. Each source has its own limit of lines and of characters,
so an engine with much output does not push out the lines of others. Any thread may add lines;
listeners run on the event loop.
"""

from __future__ import annotations

import heapq
import logging
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TextIO

from utils.feed import Feed, Subscription

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator


LEVELS = ("debug", "info", "warning", "error")
# The output of engines is logged under this name and the variant's label.
ENGINES = "gateway.engine."
KEPT_LINES = 1000
KEPT_CHARACTERS = 256 * 1024
# The source of the gateway's own lines.
GATEWAY = ""


def setup_logging(level: str) -> None:
    """Log to stderr from ``level`` (one of LEVELS) upward."""
    # No log line shows these, and each costs time for every record (see Logging HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there for this use
    handler = _Stderr(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    # aiohttp logs each malformed request with its bytes; the access log is enough.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # watchfiles logs each file that changes in a folder, even this log.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # alembic logs each of its steps; the gateway itself says once what a database has become.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Log from ``level`` upward from now on."""
    logging.getLogger().setLevel(level.upper())


def get_logger(name: str) -> logging.Logger:
    """Return the logger of one part of the gateway."""
    return logging.getLogger(f"gateway.{name}")


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to a stream that flushes itself at the end of each line."""

    def flush(self) -> None:
        """Do nothing: the stream is flushed already."""


class LineFormatter(logging.Formatter):
    """Formats a record as a log line, once for all handlers."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s  %(message)s")
        self._stamp = Stamp()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        line: str | None = record.__dict__.get("line")
        if line is None:
            line = record.__dict__["line"] = self._made(record)
        return line

    def _made(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        # The same as super().format() in a third of the time. Most records are access log lines.
        said = record.getMessage()
        return f"{self._stamp(record.created)} {record.levelname:.1} {record.name}  {said}"

    def formatTime(  # noqa: N802 - logging's name
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002 - logging's signature
    ) -> str:
        """Return the time to the millisecond."""
        return self._stamp(record.created)


class Stamp:
    """Formats a time to the millisecond; it formats the seconds only when they change."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, when: float) -> str:
        """Return ``when`` (seconds since 1970) as local time."""
        second = int(when)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text}.{int((when - second) * 1000):03d}"


@contextmanager
def also_logged_to(handler: logging.Handler) -> Iterator[None]:
    """Inside the block, also log to ``handler``, in the same format."""
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


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

    def add(self, source: str, *texts: str) -> None:
        """Keep the lines and publish them. A text of several lines counts as one."""
        with self._guard:
            page = self._pages.get(source)
            if page is None:
                page = self._pages[source] = _Page(*self._limits)
            for text in texts:
                self._number += 1
                line = Line(self._number, source, text)
                page.write(line)
                if self.feed.subscriptions:
                    self._publish(line)

    def _publish(self, line: Line) -> None:
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


class _Before(logging.Handler):
    """Comes before the handlers that write, and calls ``flush`` for each line of its thread."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__()
        self._flush = flush
        self._thread = threading.get_ident()

    def handle(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        """Call ``flush``. Lines of other threads have no order that could be kept."""
        if threading.get_ident() == self._thread:
            self._flush()
        return True


@contextmanager
def before_each_line(flush: Callable[[], None]) -> Iterator[None]:
    """Inside the block, call ``flush`` before each line that this thread logs."""
    handler = _Before(flush)
    root = logging.getLogger()
    root.handlers.insert(0, handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


_STAMP = Stamp()


def write_together(name: str, lines: list[tuple[float, str]]) -> None:
    """Log lines of level info under ``name``, with one write to stderr for all.

    Each is the time at which it was made, in seconds since 1970, and its text.
    """
    made = [f"{_STAMP(when)} I {name}  {text}" for when, text in lines]
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.handle(logging.makeLogRecord({"line": "\n".join(made)}))
        elif isinstance(handler, LogBook):
            handler.add(GATEWAY, *made)
        elif handler.level <= logging.INFO and not isinstance(handler, _Before):
            for when, text in lines:
                record = logging.LogRecord(name, logging.INFO, "", 0, text, None, None)
                record.created = when
                handler.handle(record)
