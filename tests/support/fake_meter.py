"""A fake memory probe: real memory that comes back late is not available on demand."""

from __future__ import annotations

from engine.resources.probe import Usage


class FakeMeter:
    """What every process holds and what is free, as the test sets it."""

    def __init__(self, *, held: dict[str, int] | None = None, **free: int) -> None:
        self.held = held or {}
        self.available = free
        self.asked = 0

    def used_by(self, _pid: int) -> Usage:
        return Usage(dict(self.held), dict(self.held))

    def free(self) -> dict[str, int]:
        self.asked += 1
        return dict(self.available)
