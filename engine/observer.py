"""What happens to engines, told to whoever watches. Pure.

An observer is told synchronously, in the middle of things: it must be quick, must not fail,
and cannot change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scheduling.lifecycle import State
    from models.spec import VariantSpec


@dataclass(frozen=True, slots=True)
class Changed:
    """An engine's run ``engine`` (a ticket) went from one state to another.

    ``reason`` is what is known of a failure, "" where there was none; ``load_seconds`` is how
    long its last load took.
    """

    engine: int
    variant: VariantSpec
    before: State
    after: State
    reason: str
    load_seconds: float


class Observer:
    """Told of all that happens; this one does nothing with it."""

    def changed(self, change: Changed) -> None:
        """An engine is in another state."""

    def loading(self, variant: VariantSpec, percent: float) -> None:
        """An engine that tells so has loaded this much of its model, from 0 to 100."""

    def waiting(self, count: int) -> None:
        """So many requests wait now; it was another number before."""

    def said(self, variant: VariantSpec, line: str) -> None:
        """An engine printed a line."""
