"""Logging set-up: one line a record on stderr, never the contents of a request."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVELS = ("debug", "info", "warning", "error")


def setup_logging(level: str) -> None:
    """Everything from ``level`` (one of LEVELS) upward goes to stderr."""
    # None of these appears in a line, and each costs time for every one (Logging HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there for this use
    handler = _Stderr(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    # aiohttp reports each malformed request with its bytes; the access log says enough.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It tells each file that changes in a folder, this log among them.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """From now on everything from ``level`` upward is logged."""
    logging.getLogger().setLevel(level.upper())


# What engines print is logged under this name and their label.
ENGINES = "gateway.engine."


def get_logger(name: str) -> logging.Logger:
    """The logger of one room of the gateway."""
    return logging.getLogger(f"gateway.{name}")


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to a stream that flushes itself at the end of each line."""

    def flush(self) -> None:
        """Nothing is left to be flushed."""


class LineFormatter(logging.Formatter):
    """A line as it stands in the log; one that several handlers write is made once."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s  %(message)s")
        self._stamp = Stamp()

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: str | None = record.__dict__.get("line")
        if line is None:
            line = record.__dict__["line"] = self._made(record)
        return line

    def _made(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        # The same, in a third of the time: most records are requests' lines.
        said = record.getMessage()
        return f"{self._stamp(record.created)} {record.levelname:.1} {record.name}  {said}"

    def formatTime(  # noqa: N802 - logging's name
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002 - logging's signature
    ) -> str:
        """The time to the millisecond."""
        return self._stamp(record.created)


class Stamp:
    """Writes a time to the millisecond, and works out its seconds once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, when: float) -> str:
        """``when``, in seconds since 1970, as local time."""
        second = int(when)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text}.{int((when - second) * 1000):03d}"


@contextmanager
def also_logged_to(handler: logging.Handler) -> Iterator[None]:
    """Inside the block ``handler`` gets what is logged too, in the same form."""
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
