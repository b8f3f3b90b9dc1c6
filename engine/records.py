"""What the scheduler knows of one variant's engine. Pure data."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.lifecycle import State

if TYPE_CHECKING:
    from models.spec import VariantSpec


@dataclass(slots=True)
class EngineRecord:
    """What the scheduler knows of one variant's engine."""

    variant: VariantSpec
    state: State = State.STOPPED
    ticket: int = 0
    active: set[int] = field(default_factory=set)
    idle_since: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    needs: deque[int] = field(default_factory=deque)
    used_at: float = 0.0
    ready_at: float = 0.0

    @property
    def useful(self) -> bool:
        """Whether requests are or will be served by the engine as it is."""
        return self.state in (State.STARTING, State.READY)

    def serves(self, minimum: VariantSpec) -> bool:
        """Whether this variant can take a request that needs ``minimum``."""
        return self.variant.model == minimum.model and self.variant.context >= minimum.context
