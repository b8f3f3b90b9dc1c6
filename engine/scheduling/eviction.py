"""Which engines may run side by side, and which engines to evict for another. Pure.

It knows engines and limits, but no requests: the planner decides which engines may be evicted, and
which of those are spared for now.

1. A model has one engine at a time.
2. Two engines with the same address never run together.
3. Models of different groups never run together. As soon as one model has a group, each model
   without one is a group of its own. If no model has a group, this rule does not apply.
4. At most ``max_loaded`` engines run, in whatever groups.
5. Pinned models and persistent groups are kept: rule 3 does not apply to them. They are evicted for
   no other model, except for another variant of the same model and, in a persistent group, for
   another model of the group.
6. An engine starts only if there is enough of each resource that it needs, for it and the others.
   ``engine/resources/rules.py`` defines the need. A need that was learnt meanwhile may exceed the
   resource.
7. Engines that must go for rules 1 to 3 are evicted. Of the others, as few as needed are evicted,
   the least recently used first. If resources decide, those are evicted whose loss costs least
   together: rarely used, and quick to load. Busy ones are evicted last.
8. A variant that ran out of memory runs with no other engines, except those that are kept, until it
   has loaded once.
9. An engine that runs elsewhere takes no room here: only rule 1 applies to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import TYPE_CHECKING

from engine.resources.rules import expected, peak, taken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from engine.scheduling.engine_table import EngineRecord
    from models.spec import VariantSpec

# Up to this number of engines, every set of them is compared.
_FEW = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for engines that run at once.

    ``addresses`` are by the variant's label, ``groups`` by the model's name. ``pinned`` and
    ``elsewhere`` (rule 9) are models, ``persistent`` are groups. ``resources`` are amounts, such as
    bytes. By label: the ``learnt`` needs, and the variants that run ``alone`` by rule 8.
    """

    max_loaded: int = 1
    addresses: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    persistent: frozenset[str] = frozenset()
    resources: Mapping[str, int] = field(default_factory=dict)
    learnt: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    alone: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    def conflict(self, one: VariantSpec, other: VariantSpec) -> bool:
        """Return whether ``one`` cannot start beside ``other``, even with enough room."""
        if one.model == other.model:
            return True
        address = self.addresses.get(one.label)
        if address is not None and address == self.addresses.get(other.label):
            return True
        if self.alone & {one.label, other.label}:
            return not self.keeps(other, one)
        if not self.groups or self.kept(one.model) or self.kept(other.model):
            return False
        group = self.groups.get(one.model)
        return group is None or group != self.groups.get(other.model)

    def share(self, one: VariantSpec, other: VariantSpec) -> bool:
        """Return whether the engines compete for room: both run here, or are of one model."""
        return one.model == other.model or not self.elsewhere & {one.model, other.model}

    def keeps(self, living: VariantSpec, wanted: VariantSpec) -> bool:
        """Return whether ``living`` may not be evicted for ``wanted``."""
        if living.model == wanted.model or not self.kept(living.model):
            return False
        together = self.groups.get(living.model) == self.groups.get(wanted.model)
        return living.model in self.pinned or not together

    def takes(self, variant: VariantSpec) -> Mapping[str, int]:
        """Return what the variant's engine takes of each resource: declared, learnt or planned."""
        learnt = self.learnt.get(variant.label, {})
        if not (learnt or variant.estimated):
            return variant.needs
        known = expected(variant.estimated, learnt)
        return taken(variant.needs, known, self.resources)

    def lacking(self, wanted: VariantSpec, others: Iterable[VariantSpec]) -> dict[str, int]:
        """Return how much is missing of each resource that ``wanted`` needs beside the others.

        Return {} if there is enough.
        """
        lacks = {
            name: amount - self.resources.get(name, 0)
            for name, amount in self.takes(wanted).items()
            if amount
        }
        if not lacks:
            return {}
        for variant in others:
            takes = self.takes(variant)
            for name in lacks:
                lacks[name] += takes.get(name, 0)
        return {name: amount for name, amount in lacks.items() if amount > 0}

    def learning(self, variant: VariantSpec, amounts: Mapping[str, int]) -> Limits:
        """Return the limits with a new measurement of the variant; the peak counts."""
        most = peak(self.learnt.get(variant.label, {}), amounts)
        return replace(self, learnt={**self.learnt, variant.label: most})

    def knowing(self, learnt: Mapping[str, Mapping[str, int]]) -> Limits:
        """Return the limits with these needs of variants, by label, instead of those of before."""
        return replace(self, learnt=learnt)

    def leaving_alone(self, variant: VariantSpec, *, starved: bool) -> Limits:
        """Return the limits with or without rule 8 for the variant."""
        label = {variant.label}
        return replace(self, alone=self.alone | label if starved else self.alone - label)

    def kept(self, model: str) -> bool:
        """Return whether the model is kept: no model of another group evicts its engines."""
        return model in self.pinned or self.groups.get(model) in self.persistent


def room(
    wanted: VariantSpec,
    stay: Iterable[VariantSpec],
    may_go: Sequence[EngineRecord],
    limits: Limits,
) -> list[EngineRecord] | None:
    """Return which of ``may_go`` to evict so that ``wanted`` can run beside ``stay`` and the rest.

    Return None if evicting all of them would not be enough.
    """
    if limits.elsewhere:
        stay = [variant for variant in stay if limits.share(variant, wanted)]
        may_go = [record for record in may_go if limits.share(record.variant, wanted)]
    others = [*stay, *(r.variant for r in may_go if limits.keeps(r.variant, wanted))]
    may_go = [record for record in may_go if not limits.keeps(record.variant, wanted)]
    if any(limits.conflict(wanted, other) for other in others):
        return None
    gone = [record for record in may_go if limits.conflict(wanted, record.variant)]
    left = sorted((r for r in may_go if r not in gone), key=reluctance)
    surplus = max(0, len(others) + len(left) + 1 - limits.max_loaded)
    if surplus > len(left):
        return None
    lacking = limits.lacking(wanted, [*others, *(record.variant for record in left)])
    if not lacking:
        return gone + left[:surplus]
    frees = {record: limits.takes(record.variant) for record in left}
    if any(amount < 0 for amount in _spare(lacking, frees.values()).values()):
        return None
    return [*gone, *_cheapest(frees, surplus, lacking)]


def reluctance(record: EngineRecord) -> tuple[bool, float, int]:
    """Return the rank of an engine; the lowest rank is evicted first."""
    # A busy engine goes last: the request can wait for it, but never end it. Of several, the choice
    # stays the same until it is free, because an engine that is waited for gets no new requests.
    if record.busy:
        return True, record.used_at, record.ticket
    return False, max(record.used_at, record.idle_since), record.ticket


def _cheapest(
    records: Mapping[EngineRecord, Mapping[str, int]], surplus: int, lacking: Mapping[str, int]
) -> Collection[EngineRecord]:
    """Return at least ``surplus`` engines that free what is lacking and cost least together.

    Each record comes with what it frees; all of them together are enough.
    """
    latest = max(record.used_at for record in records)
    # Computed once, because there may be many sets to compare.
    costs = {record: (record.busy, record.worth(latest)) for record in records}

    def cost(going: Collection[EngineRecord]) -> tuple[int, float, int]:
        each = [costs[record] for record in going]
        return sum(busy for busy, _ in each), sum(worth for _, worth in each), len(going)

    if len(records) <= _FEW:
        sizes = range(max(1, surplus), len(records) + 1)
        sets = chain.from_iterable(combinations(records, size) for size in sizes)
        enough = (
            going
            for going in sets
            if min(_spare(lacking, map(records.__getitem__, going)).values()) >= 0
        )
        return min(enough, key=cost)
    # Too many sets to compare: spare each engine that can be spared, the most expensive first.
    going = sorted(records, key=lambda record: costs[record])
    spare = _spare(lacking, records.values())
    for record in reversed(tuple(going)):
        needs = records[record]
        if len(going) > surplus and all(needs.get(n, 0) <= much for n, much in spare.items()):
            going.remove(record)
            spare = {name: much - needs.get(name, 0) for name, much in spare.items()}
    return going


def _spare(lacking: Mapping[str, int], freed: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return what is freed of each resource beyond what is lacking; negative if it still lacks."""
    spare = {name: -amount for name, amount in lacking.items()}
    for amounts in freed:
        for name in spare:
            spare[name] += amounts.get(name, 0)
    return spare
