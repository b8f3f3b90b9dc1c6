"""One line of the log for each request that has ended: its path, model, status and times."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from inference.call import CallRecord
from utils.logger import get_logger

_log = get_logger("access")
CLIENT_LEFT = 499


@dataclass(slots=True)
class AccessRecord(CallRecord):
    """Filled in while a request is served; the fields of its call are inherited.

    ``failed`` is the status of the error that the client got. After a stream has begun, that is
    not the status of the response.
    """

    method: str
    status: int = CLIENT_LEFT
    note: str = ""
    failed: int | None = None

    def line(self, now: float) -> str:
        """Return the record as ``key=value`` words; nothing of the request's body is in it."""
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.method} {self.path} {self.status}"
            f" model={self.model or '-'} variant={self.variant or '-'}"
            f" prompt={_number(self.prompt)} completion={_number(self.completion)}"
            f" queue={_seconds(self.queued)} load={_seconds(self.loading)}"
            f" first={_seconds(self.first)} total={_seconds(now - self.started)} id={self.id}{note}"
        )

    def write(self, now: float) -> None:
        """Write the line into the log."""
        if _log.isEnabledFor(logging.INFO):
            # The record is made here because the line needs nothing that ``Logger.info`` looks up.
            said = self.line(now)
            _log.handle(logging.LogRecord(_log.name, logging.INFO, "", 0, said, None, None))


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}s"
