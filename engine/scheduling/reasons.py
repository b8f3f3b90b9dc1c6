"""Why an engine ends, for people: a word for pages, and a sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.scheduling.eviction import Limits
    from models.spec import VariantSpec

_MIB, _GIB = 1 << 20, 1 << 30
_SENTENCES = {
    "switch": "{variant} makes way for {wanted}: a model has one engine at a time.",
    "address": "{variant} makes way for {wanted}: both have the same address.",
    "alone": "{variant} makes way for {wanted}, which must load alone: memory ran out before.",
    "group": "{variant} makes way for {wanted}: their groups never run together.",
    "memory": "{variant} makes way for {wanted}: there was not enough {more}.",
    "count": "{variant} makes way for {wanted}: no more engines may run at once.",
    "idle": "{variant} had no request for {more} seconds.",
    "shrink": "{variant} makes way for the smaller {wanted}: the last requests fit that.",
    "grow": "{variant} makes way for the larger {wanted}: the conversation will need it.",
    "operator": "An operator unloaded {variant}.",
    "configuration": "The configuration was changed: {variant} is not to run any more.",
}


@dataclass(frozen=True, slots=True)
class Why:
    """Why an engine ends: ``kind`` is a word of the table above.

    ``wanted`` is the label of the variant that it makes way for, ``request`` the number of the
    request that wants it, ``more`` what the sentence names besides. ``short`` are the bytes that
    are missing of each resource.
    """

    kind: str
    wanted: str = ""
    request: int | None = None
    more: str = ""
    short: Mapping[str, int] = field(default_factory=dict)

    def sentence(self, variant: str) -> str:
        """Return the reason as a sentence about the engine of this label."""
        more = missing(self.short) if self.short else self.more
        return _SENTENCES[self.kind].format(variant=variant, wanted=self.wanted, more=more)


def evicted(
    request: int,
    wanted: VariantSpec,
    victim: VariantSpec,
    living: Iterable[VariantSpec],
    limits: Limits,
) -> Why:
    """Return why ``victim`` is evicted for ``wanted``; ``living`` are all engines that run."""
    address = limits.addresses.get(wanted.label)
    short: Mapping[str, int] = {}
    if victim.model == wanted.model:
        kind = "switch"
    elif address is not None and address == limits.addresses.get(victim.label):
        kind = "address"
    elif limits.alone & {wanted.label, victim.label}:
        kind = "alone"
    elif limits.conflict(wanted, victim):
        kind = "group"
    else:
        others = [each for each in living if limits.share(each, wanted)]
        short = limits.lacking(wanted, others)
        kind = "memory" if short else "count"
    return Why(kind, wanted.label, request, " and ".join(sorted(short)), short)


def missing(short: Mapping[str, int]) -> str:
    """Return what is missing of each resource, in words; amounts are in bytes."""
    return " and ".join(f"{name} ({_size(short[name])} missing)" for name in sorted(short))


def _size(amount: int) -> str:
    return f"{amount / _GIB:.1f} GiB" if amount >= _GIB else f"{-(-amount // _MIB)} MiB"
