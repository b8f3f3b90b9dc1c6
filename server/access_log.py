"""One line a request, when it has ended: what was asked, what was decided, what it cost."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from utils.logger import get_logger

_log = get_logger("access")
CLIENT_LEFT = 499


@dataclass(slots=True)
class AccessRecord:
    """Filled in as a request proceeds; times in seconds, None where it did not get so far."""

    method: str
    path: str
    started: float
    id: str = "-"
    status: int = CLIENT_LEFT
    model: str | None = None
    variant: str | None = None
    prompt: int | None = None
    # Whether ``prompt`` is the engine's count, not an estimate.
    counted: bool = False
    completion: int | None = None
    queued: float | None = None
    loading: float | None = None
    first: float | None = None
    note: str = ""
    # Of the failure that it was told, which a stream that had begun cannot show as its status.
    failed: int | None = None
    # By an operator: its answer is wanted by nobody, unlike that of a client that left.
    cancelled: bool = False
    # Its client has left, and its answer goes on.
    detached: bool = False
    client: str = ""
    # By which the scheduler knows it, once it asked for an engine.
    ticket: int | None = None

    def line(self, now: float) -> str:
        """The record as ``key=value`` words; nothing of the request's contents."""
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.method} {self.path} {self.status}"
            f" model={self.model or '-'} variant={self.variant or '-'}"
            f" prompt={_number(self.prompt)} completion={_number(self.completion)}"
            f" queue={_seconds(self.queued)} load={_seconds(self.loading)}"
            f" first={_seconds(self.first)} total={_seconds(now - self.started)} id={self.id}{note}"
        )

    def write(self, now: float) -> None:
        """The line is in the log."""
        if _log.isEnabledFor(logging.INFO):
            # Made here: of what ``Logger.info`` finds out, the line needs nothing.
            said = self.line(now)
            _log.handle(logging.LogRecord(_log.name, logging.INFO, "", 0, said, None, None))


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}s"
