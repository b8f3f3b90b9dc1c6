"""When an engine that was ready counts as hanging. Pure: looks go in, a verdict comes out.

It is unresponsive when it does not say that it is healthy:

1. ``failures`` looks in a row that fail make it unresponsive; 0 seconds of ``interval``
   mean that nobody looks.
2. A look fails that is not answered with "ready" in time. After its readiness
   an engine that says it is loading serves nobody: that is a failure as well.
3. An engine from which a byte of an answer came since the look before lives,
   however slow it is to say so; such a look counts for nothing.

It is stalled when it says so, but its computing hangs:

4. Nothing has moved for ``stall_timeout`` while requests were active on it and its slots were at
   work. What moves is an answer, by more than keep-alive comments, or a counter of a slot.
5. An engine that never told its counters is not judged: a long prompt looks the same. One that
   did, and tells nothing now, has not moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class HealthChecks:
    """How engines that are ready are looked at; ``interval`` in seconds, 0: never."""

    interval: float = 10.0
    failures: int = 3


def checks_of(settings: ServerSettings) -> HealthChecks:
    """The looks that the ``server`` table asks for."""
    return HealthChecks(settings.health_check_interval, settings.health_check_failures)


class Pulse:
    """What the looks at one run of an engine have shown so far.

    ``failed`` is how many have failed in a row.
    """

    def __init__(self, checks: HealthChecks) -> None:
        self.failed = 0
        self._limit = checks.failures
        self._heard = 0

    def unresponsive(self, *, healthy: bool, heard: int) -> bool:
        """Whether this look, the latest, was one too many.

        ``heard`` grows with every piece of an answer that comes from the engine.
        """
        alive = healthy or heard != self._heard
        self._heard = heard
        self.failed = 0 if alive else self.failed + 1
        return self.failed >= self._limit


class StallWatch:
    """Whether one run of an engine gets on with its requests. ``limit`` in seconds."""

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit
        self._since = now
        self._answered = 0
        self._counters: tuple[int, ...] | None = None

    def stalled(
        self, now: float, *, active: int, answered: int, counters: tuple[int, ...] | None
    ) -> bool:
        """Return whether nothing has moved for ``limit`` seconds.

        ``active`` requests are on the engine; ``answered`` grows with every piece of an answer.
        ``counters`` are those of the slots at work: () where none is, None where it does not tell.
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
