"""What the scheduler knows of one variant's engine. Pure data."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import exp2
from typing import TYPE_CHECKING

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

HALF_LIFE = 600.0


# Each record is itself alone; comparing their fields would take most of a decision's time.
@dataclass(slots=True, eq=False)
class EngineRecord:
    """What the scheduler knows of one variant's engine.

    ``memory`` is what the living engine holds, ``takes`` what it counts for among
    ``server.resources``; both in bytes. ``shortages`` counts the loads in a row that ran out of
    memory, the last time of ``lacked``; ``advice`` says what to change then. ``ahead`` is the
    variant that the conversation answered last will need next, None if this one does.
    ``active`` are the requests that take a place each,
    ``auxiliary`` those that take none; ``unused`` is true from a start until the first of either.
    """

    variant: VariantSpec
    state: State = State.STOPPED
    ticket: int = 0
    active: set[int] = field(default_factory=set)
    auxiliary: set[int] = field(default_factory=set)
    unused: bool = True
    idle_since: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    needs: deque[VariantSpec] = field(default_factory=deque)
    used_at: float = 0.0
    started_at: float = 0.0
    ready_at: float = 0.0
    ended_at: float = 0.0
    load_seconds: float = 0.0
    uses: float = 0.0
    memory: Mapping[str, int] = field(default_factory=dict)
    takes: Mapping[str, int] = field(default_factory=dict)
    shortages: int = 0
    lacked: str = ""
    advice: str = ""
    ahead: VariantSpec | None = None

    def use(self, now: float) -> None:
        """Another request is served; older uses count half as much after each ``HALF_LIFE``."""
        self.uses = 1.0 + self.uses * exp2((self.used_at - now) / HALF_LIFE)
        self.used_at = now

    def worth(self, now: float) -> float:
        """What its loss would cost: much if it is often used and slow to load."""
        return self.load_seconds * self.uses * exp2((self.used_at - now) / HALF_LIFE)

    def loaded_until(self, now: float) -> float:
        """When its latest start was over, in readiness or in failure; ``now`` if it is not yet."""
        if self.ready_at >= self.started_at:
            return self.ready_at
        return now if self.state.live else self.ended_at

    @property
    def serving(self) -> set[int]:
        """The requests that hold the engine, with and without a place."""
        return self.active | self.auxiliary

    @property
    def busy(self) -> bool:
        """Whether a request holds the engine, so that it must not be stopped."""
        return bool(self.active or self.auxiliary)

    @property
    def useful(self) -> bool:
        """Whether requests are or will be served by the engine as it is."""
        return self.state in (State.STARTING, State.READY)

    def serves(self, minimum: VariantSpec) -> bool:
        """Whether this variant can take a request that needs ``minimum``."""
        return self.variant.model == minimum.model and self.variant.capacity >= minimum.capacity
