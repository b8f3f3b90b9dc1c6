"""Which engines may live side by side, and whom to unload for another. Pure.

It knows engines and limits, nothing of requests: who may go, and which of those
are spared for now, is for the scheduler to say.

1. One engine of a model lives at a time.
2. Two engines that would listen at the same address never live together.
3. Models of different groups never live together. As soon as one model has a
   group, a model without is a group of its own; without any, this rule is void.
4. At most ``max_loaded`` engines live, whatever their groups.
5. Pinned models and persistent groups are kept: rule 3 does not know them, and
   they go for no other, except for another variant of the same model and, in a
   persistent group, for another model of it.
6. Whoever must go for 1 to 3 goes; of the others, as few as make room, the
   least recently used first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.records import EngineRecord
    from models.spec import VariantSpec


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the engines that live at once.

    ``addresses`` by the variant's label, ``groups`` by the model's name; ``pinned`` are
    models, ``persistent`` are groups.
    """

    max_loaded: int = 1
    addresses: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    persistent: frozenset[str] = frozenset()

    def conflict(self, one: VariantSpec, other: VariantSpec) -> bool:
        """Whether the two can never live together, however much room there is."""
        if one.model == other.model:
            return True
        address = self.addresses.get(one.label)
        if address is not None and address == self.addresses.get(other.label):
            return True
        if not self.groups or self._kept(one.model) or self._kept(other.model):
            return False
        group = self.groups.get(one.model)
        return group is None or group != self.groups.get(other.model)

    def keeps(self, living: VariantSpec, wanted: VariantSpec) -> bool:
        """Whether ``living`` may not be unloaded for ``wanted``."""
        if living.model == wanted.model or not self._kept(living.model):
            return False
        together = self.groups.get(living.model) == self.groups.get(wanted.model)
        return living.model in self.pinned or not together

    def _kept(self, model: str) -> bool:
        return model in self.pinned or self.groups.get(model) in self.persistent


def room(
    wanted: VariantSpec,
    stay: Iterable[VariantSpec],
    may_go: Sequence[EngineRecord],
    limits: Limits,
) -> list[EngineRecord] | None:
    """Whom of ``may_go`` to unload so that ``wanted`` can live beside ``stay`` and the rest.

    None: not even all of them would do.
    """
    others = [*stay, *(r.variant for r in may_go if limits.keeps(r.variant, wanted))]
    may_go = [record for record in may_go if not limits.keeps(record.variant, wanted)]
    if any(limits.conflict(wanted, other) for other in others):
        return None
    gone = [record for record in may_go if limits.conflict(wanted, record.variant)]
    left = sorted((r for r in may_go if r not in gone), key=_reluctance)
    while len(others) + len(left) >= limits.max_loaded:
        if not left:
            return None
        gone.append(left.pop(0))
    return gone


def _reluctance(record: EngineRecord) -> tuple[bool, float, int]:
    # A busy one last: it can be waited for, but never be ended.
    return bool(record.active), record.used_at, record.ticket
