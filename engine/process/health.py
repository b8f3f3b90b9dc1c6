"""When a ready engine counts as hanging. Pure: results of health checks in, a verdict out.

The engine is unresponsive if it does not say that it is healthy:

1. It is unresponsive after ``failures`` failed checks in a row. With an ``interval`` of 0 seconds
   there are no checks.
2. A check fails if the answer is not "ready", or does not come in time. An engine that was ready
   and says that it is loading serves no requests, so this is a failure too.
3. A check does not count if a byte of an answer has come from the engine since the last check: the
   engine works, even if it is slow to answer the check.

The engine is stalled if it says that it is healthy, but its computation hangs:

4. It has made no progress for ``stall_timeout`` while it had active requests and busy slots.
   Progress is any part of an answer except keep-alive comments, or a change of a slot's counter.
5. An engine that has never shown its counters is not judged: a long prompt looks the same. If it
   has shown them before and does not now, that is no progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class HealthChecks:
    """How ready engines are checked; ``interval`` in seconds, 0: never."""

    interval: float = 10.0
    failures: int = 3


def checks_of(settings: ServerSettings) -> HealthChecks:
    """Return the health checks of the ``server`` table."""
    return HealthChecks(settings.health_check_interval, settings.health_check_failures)


class Pulse:
    """The results of the health checks of one run; ``failed`` counts failures in a row."""

    def __init__(self, checks: HealthChecks) -> None:
        self.failed = 0
        self._limit = checks.failures
        self._heard = 0

    def unresponsive(self, *, healthy: bool, heard: int) -> bool:
        """Note a check, and return whether the engine is unresponsive now.

        ``heard`` grows with every piece of an answer from the engine.
        """
        alive = healthy or heard != self._heard
        self._heard = heard
        self.failed = 0 if alive else self.failed + 1
        return self.failed >= self._limit


class StallWatch:
    """Whether one run of an engine makes progress with its requests. ``limit`` in seconds."""

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit
        self._since = now
        self._answered = 0
        self._counters: tuple[int, ...] | None = None

    def stalled(
        self, now: float, *, active: int, answered: int, counters: tuple[int, ...] | None
    ) -> bool:
        """Return whether there was no progress for ``limit`` seconds.

        ``active`` requests are on the engine; ``answered`` grows with every piece of an answer.
        ``counters`` are those of the busy slots: () if no slot is busy, None if the engine does not
        show them.
        """
        moved = answered != self._answered
        self._answered = answered
        if counters is None:
            working = self._counters is not None
        else:
            working = counters != ()
            moved = moved or counters != self._counters
            self._counters = counters
        if moved or not (active and working):
            self._since = now
        return now - self._since >= self._limit
