"""Limits by time: so many in a minute (GCRA in integers). Pure; the caller says what time it is.

A bucket holds ``limit`` units and is refilled evenly, all of it in one period. One integer is its
whole state: the time at which it will be full again, counted in nanoseconds times the limit. So
nothing is ever rounded; with floats, a limit of 25 once let 24 through.
"""

from __future__ import annotations

from typing import NamedTuple

MINUTE = 60 * 10**9


class Level(NamedTuple):
    """How full a bucket is: its limit, the whole units left, and nanoseconds until it is full."""

    limit: int
    remaining: int
    reset: int


class Bucket:
    """One limit; times are in nanoseconds of a clock that never goes back."""

    __slots__ = ("_full_at", "limit", "period")

    def __init__(self, limit: int, period: int = MINUTE) -> None:
        self.limit = limit
        self.period = period
        # In nanoseconds times ``limit``.
        self._full_at = 0

    def wait(self, now: int, units: int = 1) -> int:
        """Return the nanoseconds until so many units can be taken; 0 if they can now.

        More than the bucket holds can be taken from a full bucket alone.
        """
        limit = self.limit
        units = min(units, limit)
        missing = self._full_at - now * limit + (units - limit) * self.period
        return -(-missing // limit) if missing > 0 else 0

    def take(self, now: int, units: int = 1) -> None:
        """Take the units, however many are left: the bucket is then empty for longer."""
        empty_at = now * self.limit
        empty_at = max(empty_at, self._full_at)
        self._full_at = empty_at + units * self.period

    def give_back(self, units: int) -> None:
        """Give back units that were taken and not used."""
        self._full_at -= units * self.period

    def level(self, now: int) -> Level:
        """Return how full the bucket is."""
        missing = max(0, self._full_at - now * self.limit)
        left = max(0, self.limit * self.period - missing) // self.period
        return Level(self.limit, left, -(-missing // self.limit))

    def change(self, limit: int, now: int) -> None:
        """Set another limit; what was taken stays taken."""
        if limit == self.limit:
            return
        # Units that were taken and are not refilled yet, times the period.
        missing = max(0, self._full_at - now * self.limit)
        self.limit = limit
        self._full_at = now * limit + missing
