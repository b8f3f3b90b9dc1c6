"""The rules for the memory of engines: declared, learnt, and returned. Pure.

1. If the variant's ``needs`` declare an amount of a resource, this amount counts.
2. If they do not, and ``server.resources`` names the resource, the measured peak of all runs of
   the same definition counts; before the first run, the estimate of its plan, if there is one. Of
   a GPU the estimate counts if it is larger: an engine that fits itself into what is free takes
   less of a full GPU than it should have.
3. A learnt need is never larger than the resource. So a measurement may make an engine run
   alone, but never keeps it from starting.
4. A measurement counts before the projection in the engine's log. For main memory the larger of
   the two counts, because the pages of a mapped model become resident only as they are used.
5. An engine may start when, of each resource, as much is free as it needs, or as much as is free
   once the memory of ended engines is back, whichever is less. A resource with an unknown amount
   is not checked. Main memory is free as soon as a process ends, so a start never waits for it
   alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

Amounts = dict[str, int]
# An estimate is a few percent off. Below this share of it, layers must be elsewhere.
_WHOLE = 0.85
# The name of main memory among the resources; those of GPUs are ``gpu0``, ``gpu1`` and so on.
RAM = "ram"


def taken(
    declared: Mapping[str, int], learnt: Mapping[str, int], there: Mapping[str, int]
) -> Amounts:
    """Return what an engine takes by rules 1 to 3; ``there`` is ``server.resources``."""
    capped = {name: min(learnt[name], there[name]) for name in there if name in learnt}
    return capped | dict(declared)


def expected(estimated: Mapping[str, int], learnt: Mapping[str, int]) -> Amounts:
    """Return what an engine will take by rule 2, before its configuration counts."""
    on_gpus = {name: amount for name, amount in estimated.items() if name != RAM}
    return dict(estimated) | peak(on_gpus, learnt) if learnt else dict(estimated)


def moved(estimated: Mapping[str, int], measured: Mapping[str, int]) -> int:
    """Return the bytes that were planned for GPUs and are not there; 0 for a small difference.

    Then layers are in main memory: the GPUs had too little free when the engine started.
    """
    planned = sum(amount for name, amount in estimated.items() if name != RAM)
    there = sum(amount for name, amount in measured.items() if name in estimated and name != RAM)
    known = any(name != RAM for name in measured)
    return planned - there if known and there < _WHOLE * planned else 0


def combined(measured: Mapping[str, int], projected: Mapping[str, int]) -> Amounts:
    """Return what an engine holds by rule 4."""
    if any(name != RAM for name in measured):
        projected = {name: amount for name, amount in projected.items() if name == RAM}
    return peak(measured, projected) if RAM in measured else dict(projected) | dict(measured)


def peak(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    """Return the larger amount of each resource."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def is_back(free: Mapping[str, int], needs: Mapping[str, int], owed: Mapping[str, int]) -> bool:
    """Return whether an engine may start by rule 5.

    ``owed`` is what is free once the memory of ended engines is back.
    """
    levels = {name: [needs[name]] for name in needs}
    for name, level in owed.items():
        if name in needs or name != RAM:
            levels.setdefault(name, []).append(level)
    return all(free[name] >= min(level) for name, level in levels.items() if name in free)


def fingerprint(
    variant: VariantSpec, inherited: Mapping[str, str], files: tuple[object, ...]
) -> str:
    """Return the same text for the same definition and the same ``files`` (size and time).

    ``inherited`` are the variables of the gateway's environment that change an engine's memory.
    """
    env = sorted((dict(inherited) | dict(variant.env)).items())
    parts = (variant.label, variant.binary, variant.args, variant.parallel, env, files)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
