"""Logging set-up: one line a record on stderr, never the contents of a request."""

from __future__ import annotations

import logging
import sys
import time

LEVELS = ("debug", "info", "warning", "error")


def setup_logging(level: str) -> None:
    """Everything from ``level`` (one of LEVELS) upward goes to stderr."""
    # None of these appears in a line, and each costs time for every one (Logging HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there for this use
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter("%(asctime)s %(levelname).1s %(name)s  %(message)s"))
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


def get_logger(name: str) -> logging.Logger:
    """The logger of one room of the gateway."""
    return logging.getLogger(f"gateway.{name}")


class _LineFormatter(logging.Formatter):
    """Writes the time to the millisecond, and works out its seconds once a second."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self._second = 0
        self._text = ""

    def formatTime(  # noqa: N802 - logging's name
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002 - logging's signature
    ) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text}.{int(record.msecs):03d}"
