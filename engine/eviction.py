"""Which engines may live side by side, and whom to unload for another. Pure.

It knows engines and limits, nothing of requests: who may go, and which of those
are spared for now, is for the scheduler to say.

1. One engine of a model lives at a time.
2. Two engines that would listen at the same address never live together.
3. At most ``max_loaded`` engines live.
4. Whoever must go for 1 and 2 goes; of the others, as few as make room, the
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
    """What bounds the engines that live at once; ``addresses`` by the variant's label."""

    max_loaded: int = 1
    addresses: Mapping[str, str] = field(default_factory=dict)

    def conflict(self, one: VariantSpec, other: VariantSpec) -> bool:
        """Whether the two can never live together, however much room there is."""
        if one.model == other.model:
            return True
        address = self.addresses.get(one.label)
        return address is not None and address == self.addresses.get(other.label)


def room(
    wanted: VariantSpec,
    stay: Iterable[VariantSpec],
    may_go: Sequence[EngineRecord],
    limits: Limits,
) -> list[EngineRecord] | None:
    """Whom of ``may_go`` to unload so that ``wanted`` can live beside ``stay`` and the rest.

    None: not even all of them would do.
    """
    others = list(stay)
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
