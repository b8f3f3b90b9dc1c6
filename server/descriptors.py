"""How many file descriptors are left, as far as new connections tell.

A system gives the lowest free number, so the number of a new connection is a bound for how many
are in use. Connections stop short of the limit: engines, their pipes and the way to them need
descriptors too, and where none is left not even a refusal can be sent.
"""

from __future__ import annotations

import sys
from math import inf

from utils.clock import LoopClock
from utils.logger import get_logger

_log = get_logger("http")
# Seconds between two lines of the log.
_SILENCE = 60.0


class Descriptors:
    """Compares descriptors with the limit of this process; on Windows there is none."""

    def __init__(self, limit: float | None = None) -> None:
        self.limit = _limit() if limit is None else limit
        # From this descriptor on, idle connections should be closed.
        self.short_from = self.limit - max(16, self.limit // 8)
        self._clock = LoopClock()
        self._told_at = -inf

    def exhausted(self, descriptor: int) -> bool:
        """Return whether one more connection would take what engines need."""
        return descriptor >= self.limit - max(8, self.limit // 32)

    def tell(self, descriptor: int, closed: int) -> None:
        """Log once a minute that descriptors are short, and what to change."""
        now = self._clock.now()
        if now - self._told_at < _SILENCE:
            return
        self._told_at = now
        did = f"closed {closed} idle connections" if closed else "no connection is idle"
        _log.warning(
            "file descriptors are short, %d of %.0f are in use: %s. Raise the limit:"
            " LimitNOFILE=65535 in a systemd unit, ulimit -n 65535 in a shell",
            descriptor,
            self.limit,
            did,
        )


def _limit() -> float:
    if sys.platform == "win32":
        return inf
    import resource  # noqa: PLC0415 - not there on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft
