"""The set-up of logging: one line for each record on stderr, never the contents of a request."""

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


def set_level(level: str) -> None:
    """Log from ``level`` upward from now on."""
    logging.getLogger().setLevel(level.upper())


# The output of engines is logged under this name and the variant's label.
ENGINES = "gateway.engine."


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
