"""One line of the log for each request that has ended: what was asked, decided and spent."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from inference.call import CallRecord
from utils.logger import get_logger

_log = get_logger("access")
CLIENT_LEFT = 499


@dataclass(slots=True)
class AccessRecord(CallRecord):
    """Filled in as a request proceeds; what becomes of its call is in what is inherited.

    ``failed`` is the status of the failure that its client was told, which a stream that had
    begun cannot show as its own.
    """

    method: str
    status: int = CLIENT_LEFT
    note: str = ""
    failed: int | None = None

    def line(self, now: float) -> str:
        """Return the record as ``key=value`` words; it holds nothing of the request's contents."""
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
            # Made here: of what ``Logger.info`` finds out, the line needs nothing.
            said = self.line(now)
            _log.handle(logging.LogRecord(_log.name, logging.INFO, "", 0, said, None, None))


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}s"
