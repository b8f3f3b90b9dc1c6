"""One line of the log for each request that has ended: its path, model, status and times.

Busy gateways write the lines together, because a line alone costs as much as reading a request.
The lines wait until another request has begun, which an engine works on meanwhile; but no more than
24 of them, and not longer than 50 ms. Any other line of the log goes after those that wait, so the
order in the log is that of the events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference.call import CallRecord
from utils.logger import before_each_line, get_logger, write_together

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = get_logger("access")
CLIENT_LEFT = 499
_FAILURES = 400
TOGETHER = 24
# Seconds.
SOON = 0.05


@dataclass(slots=True)
class AccessRecord(CallRecord):
    """Filled in while a request is served; the fields of its call are inherited.

    ``address`` is the client's;
    ``failed`` is the status of the error that the client got. After a stream has begun, that is not
    the status of the response. ``quiet``: it has a line only if it failed; a page asks often.
    """

    method: str
    address: str | None = None
    status: int = CLIENT_LEFT
    note: str = ""
    failed: int | None = None
    quiet: bool = False

    def line(self, now: float) -> str:
        """Return the record as ``key=value`` words; nothing of the request's body is in it."""
        note = f" ({self.note})" if self.note else ""
        amount = "" if self.amount is None else f" {self.amount.unit}={self.amount.value}"
        prompt = "prompt<=" if self.bound and not self.counted else "prompt="
        return (
            f"{self.method} {self.path} {self.status}"
            f" model={self.model or '-'} variant={self.variant or '-'}"
            f"{amount} {prompt}{_told(self.prompt)} completion={_told(self.completion)}"
            f" queue={_told(self.queued, '%.3fs')} load={_told(self.loading, '%.3fs')}"
            f" first={_told(self.first, '%.3fs')} total={now - self.started:.3f}s"
            f" from={self.address or '-'} id={self.id}{note}"
        )


class AccessLog:
    """Writes the lines of requests: at once, or together inside the block of ``gathering``."""

    def __init__(self) -> None:
        self._waiting: list[tuple[AccessRecord, float, float]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Gather lines inside the block, on the running loop; none is left after it."""
        self._loop = asyncio.get_running_loop()
        try:
            with before_each_line(self.flush):
                yield
        finally:
            self._loop = None
            self.flush()

    def write(self, record: AccessRecord, now: float) -> None:
        """Write the line of a request that ended at ``now``, soon."""
        if not _log.isEnabledFor(logging.INFO) or (record.quiet and record.status < _FAILURES):
            return
        self._waiting.append((record, now, time.time()))
        if self._loop is None or len(self._waiting) >= TOGETHER:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(SOON, self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        lines = [(when, record.line(now)) for record, now, when in waiting]
        write_together(_log.name, lines)


def _told(value: float | None, form: str = "%d") -> str:
    return "-" if value is None else form % value
