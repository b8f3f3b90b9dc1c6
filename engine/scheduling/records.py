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


# Compared by identity: comparing their fields would take most of a decision's time.
@dataclass(slots=True, eq=False)
class EngineRecord:
    """What the scheduler knows of one variant's engine.

    * ``memory``: what the running engine holds; ``takes``: what it takes of ``server.resources``.
      Both in bytes.
    * ``shortages``: the loads in a row that ran out of memory, the last time of ``lacked``;
      ``advice`` says what to change.
    * ``ahead``: the variant that the last conversation will need next; None if this one will do.
    * ``active``: the requests that take a slot; ``auxiliary``: those that take none.
    * ``unused``: true from a start until the first request of either kind.
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
        """Count another request; older uses count half as much after each ``HALF_LIFE``."""
        self.uses = 1.0 + self.uses * exp2((self.used_at - now) / HALF_LIFE)
        self.used_at = now

    def worth(self, now: float) -> float:
        """Return what an eviction would cost: much if it is often used and slow to load."""
        return self.load_seconds * self.uses * exp2((self.used_at - now) / HALF_LIFE)

    def loaded_until(self, now: float) -> float:
        """Return when its last start ended, ready or failed; ``now`` if it has not yet."""
        if self.ready_at >= self.started_at:
            return self.ready_at
        return now if self.state.live else self.ended_at

    @property
    def serving(self) -> set[int]:
        """The requests that hold the engine, with and without a slot."""
        return self.active | self.auxiliary

    @property
    def busy(self) -> bool:
        """Whether a request holds the engine, so that it must not be stopped."""
        return bool(self.active or self.auxiliary)

    @property
    def useful(self) -> bool:
        """Whether the engine serves requests, or will, without a change."""
        return self.state in (State.STARTING, State.READY)

    def serves(self, minimum: VariantSpec) -> bool:
        """Return whether this variant can serve a request that needs ``minimum``."""
        return self.variant.model == minimum.model and self.variant.capacity >= minimum.capacity
