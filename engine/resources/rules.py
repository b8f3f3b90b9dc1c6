"""What engines take of the machine's memory: declared, learnt, and given back. Pure.

1. What a variant's ``needs`` declare of a resource counts, whatever was measured.
2. Of resources that ``server.resources`` names and the variant does not, the peak counts that
   was measured in any run of the same definition; before the first run, nothing.
3. A learnt need is never more than there is of the resource in all: a measurement may make an
   engine live alone, but never keep it from being started.
4. A measurement counts before what the engine's log projects. Of main memory the larger of
   both counts: the pages of a mapped model come in only as they are used.
5. An engine may start when of each resource there is as much free as it needs, or as there is
   when all that others held has come back, whichever is less; what nobody knows is not asked
   for. Main memory of a process is back with its end, so it is never awaited for its own sake.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

Amounts = dict[str, int]
# The machine's main memory among the resources; those of GPUs are ``gpu0``, ``gpu1`` and so on.
RAM = "ram"


def taken(
    declared: Mapping[str, int], learnt: Mapping[str, int], there: Mapping[str, int]
) -> Amounts:
    """What an engine counts for by rules 1 to 3; ``there`` is ``server.resources``."""
    capped = {name: min(learnt[name], there[name]) for name in there if name in learnt}
    return capped | dict(declared)


def combined(measured: Mapping[str, int], projected: Mapping[str, int]) -> Amounts:
    """What an engine holds by rule 4."""
    if any(name != RAM for name in measured):
        projected = {name: amount for name, amount in projected.items() if name == RAM}
    return peak(measured, projected) if RAM in measured else dict(projected) | dict(measured)


def peak(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    """The larger amount of each resource."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def is_back(free: Mapping[str, int], needs: Mapping[str, int], owed: Mapping[str, int]) -> bool:
    """Whether an engine may start by rule 5; ``owed``: what is free when all has come back."""
    levels = {name: [needs[name]] for name in needs}
    for name, level in owed.items():
        if name in needs or name != RAM:
            levels.setdefault(name, []).append(level)
    return all(free[name] >= min(level) for name, level in levels.items() if name in free)


def fingerprint(
    variant: VariantSpec, inherited: Mapping[str, str], files: tuple[object, ...]
) -> str:
    """The same text for the same definition on the same ``files`` (such as their size and time).

    ``inherited`` is what of the gateway's own environment changes an engine's memory.
    """
    env = sorted((dict(inherited) | dict(variant.env)).items())
    parts = (variant.label, variant.binary, variant.args, variant.parallel, env, files)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
