"""When an engine that failed may be tried again.

The first failure costs nothing: the next request tries at once, since most
causes are one-offs. From the second on the wait doubles, so that a broken
configuration does not keep the machine busy; it never becomes a dead end.
"""

from __future__ import annotations

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
GIVE_UP_AFTER = 5


def delay_after(failures: int) -> float:
    """Seconds until the next start is allowed after ``failures`` failed starts in a row."""
    if failures <= 1:
        return 0.0
    if gives_up(failures):
        return LONGEST_DELAY
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 2))


def gives_up(failures: int) -> bool:
    """Whether the engine counts as failed rather than as waiting for its next try."""
    return failures >= GIVE_UP_AFTER
