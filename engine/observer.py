"""Report what happens to engines to an observer. Pure.

An observer is called synchronously in the middle of the work: it must be quick, must not fail, and
cannot change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scheduling.lifecycle import State
    from engine.scheduling.reasons import Why
    from engine.scheduling.waits import Wait
    from models.spec import VariantSpec
    from utils.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Changed:
    """The run ``engine`` (a ticket) went from one state to another.

    ``reason`` says what is known of a failure, "" if there was none; ``load_seconds`` is the
    duration of its last load. ``why`` is the reason for a planned end, None if there is none.
    """

    engine: int
    variant: VariantSpec
    before: State
    after: State
    reason: str
    load_seconds: float
    why: Why | None = None


class Observer:
    """Gets all that happens; this one does nothing with it."""

    def changed(self, change: Changed) -> None:
        """An engine is in another state."""

    def loading(self, variant: VariantSpec, percent: float) -> None:
        """An engine has loaded this much of its model, from 0 to 100, if it reports that."""

    def waiting(self, count: int) -> None:
        """The number of waiting requests has changed to ``count``."""

    def waits(self, request: int, wait: Wait) -> None:
        """A request of this number has to wait for an engine."""

    def refused(self, request: int, error: GatewayError) -> None:
        """A request of this number gets no engine."""

    def said(self, variant: VariantSpec, line: str) -> None:
        """An engine has printed a line."""
