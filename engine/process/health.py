"""When an engine that was ready counts as deaf. Pure: looks go in, a verdict comes out.

1. ``failures`` looks in a row that fail make it deaf; 0 seconds of ``interval``
   mean that nobody looks.
2. A look fails that is not answered with "ready" in time. After its readiness
   an engine that says it is loading serves nobody: that is a failure as well.
3. An engine from which a byte of an answer came since the look before lives,
   however slow it is to say so; such a look counts for nothing.
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
