"""``StateCarrier``: saved states of all models, and for whom they are of no use."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from engine.carry.carried import CarriedEngine
from engine.carry.support import SlotSupport
from engine.carry.worth import Worth
from utils.clock import LoopClock
from utils.logger import get_logger

if TYPE_CHECKING:
    from engine.carry.store import StateStore
    from engine.llamacpp import LlamaCppEngine
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("carry")
# Restores in a row that spared next to nothing: the model cannot use them.
_GIVES_UP = 2
_LITTLE = 10


class StateCarrier:
    """Saved states of all models."""

    def __init__(self, store: StateStore, timeout: float, clock: Clock | None = None) -> None:
        self.store = store
        self.timeout = timeout
        self.clock = clock or LoopClock()
        self.support = SlotSupport()
        self._misses: dict[str, int] = {}
        self._worth: defaultdict[str, Worth] = defaultdict(Worth)

    def worth(self, kind: str) -> Worth:
        """What was learnt of saving states of this fingerprint."""
        return self._worth[kind]

    def useless(self, kind: str) -> bool:
        """Whether engines of this fingerprint gain nothing, as those with sliding windows do."""
        return self._misses.get(kind, 0) >= _GIVES_UP

    def helped(self, kind: str, expected: int, cached: int, label: str) -> None:
        """A restore should have spared ``expected`` tokens, and the engine had ``cached``."""
        if cached * _LITTLE >= expected:
            self._misses.pop(kind, None)
            return
        self._misses[kind] = self._misses.get(kind, 0) + 1
        if self.useless(kind):
            _log.warning("%s cannot use saved states; they are left off", label)

    def of(self, variant: VariantSpec, client: LlamaCppEngine) -> CarriedEngine:
        """What is carried to and from an engine that starts now."""
        return CarriedEngine(self, variant, client)
