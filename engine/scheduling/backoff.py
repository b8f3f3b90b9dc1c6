"""When an engine that failed may start again.

After the first failure the next request starts it at once, since most causes are singular. From the
second failure on the back-off doubles, so that a broken configuration does not keep the machine
busy. A later start is always possible.
"""

from __future__ import annotations

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
GIVE_UP_AFTER = 5


def delay_after(failures: int) -> float:
    """Return the seconds until the next start, after this number of failed starts in a row."""
    if failures <= 1:
        return 0.0
    if gives_up(failures):
        return LONGEST_DELAY
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 2))


def gives_up(failures: int) -> bool:
    """Return whether the engine counts as failed, not as waiting for its next start."""
    return failures >= GIVE_UP_AFTER
