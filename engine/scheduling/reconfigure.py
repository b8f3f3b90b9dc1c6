"""What a change of the configuration means for engines and waiting requests. Pure.

1. An engine with the same definition keeps its record, with all that is known of it.
2. A request for a removed variant asks for the next larger one of its model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.scheduling.eviction import reluctance, room
from utils.errors import ConfigurationChanged, GatewayError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from engine.scheduling.engine_table import EngineRecord
    from engine.scheduling.eviction import Limits
    from models.spec import VariantSpec


def equivalent(records: Mapping[str, EngineRecord], wanted: VariantSpec) -> VariantSpec | None:
    """Return the variant of this label, else the next one with as much room, or None."""
    own = records.get(wanted.label)
    if own is not None:
        return own.variant
    larger = [record.variant for record in records.values() if record.serves(wanted)]
    return min(larger, key=lambda variant: variant.capacity, default=None)


def still_there(
    records: Mapping[str, EngineRecord], variants: Iterable[VariantSpec]
) -> tuple[VariantSpec, ...]:
    """Return those of ``variants`` that are configured, as they are now."""
    found = (records.get(variant.label) for variant in variants)
    return tuple(record.variant for record in found if record is not None)


def gone(records: Mapping[str, EngineRecord], wanted: VariantSpec) -> GatewayError:
    """Return the error for a request for a variant without an equivalent."""
    model = wanted.model
    if any(record.variant.model == model for record in records.values()):
        lost = f"variant of {wanted.context} tokens" if wanted.context else "such variant"
        return ConfigurationChanged(
            f"The configuration was changed meanwhile: '{model}' has no {lost} any more."
            " Send the request again.",
            param="model",
        )
    return ModelNotFound(
        f"The configuration was changed meanwhile: the model '{model}' does not exist any more.",
        param="model",
    )


def surplus(living: Iterable[EngineRecord], limits: Limits) -> list[EngineRecord]:
    """Return the engines to end so that the others may run together.

    Idle ones go first, kept models last. What engines take beyond their declared needs is no reason
    to end one: they run together already.
    """
    limits = replace(limits, learnt={}, alone=frozenset())
    going: list[EngineRecord] = []
    stay: list[VariantSpec] = []
    ranked = sorted(
        living, key=lambda each: (limits.kept(each.variant.model), reluctance(each)), reverse=True
    )
    for record in ranked:
        if room(record.variant, stay, (), limits) is None:
            going.append(record)
        else:
            stay.append(record.variant)
    return going


def limits_after(
    before: Limits,
    given: Limits,
    kept: Collection[str],
    retired: Collection[tuple[EngineRecord, str | None]],
) -> Limits:
    """Return ``given`` with what was learnt ``before`` of kept and of ending engines."""
    labels = {*kept, *(record.variant.label for record, _ in retired)}
    learnt = {label: amounts for label, amounts in before.learnt.items() if label in labels}
    return replace(
        given,
        addresses=beside(retired, given.addresses),
        learnt={**given.learnt, **learnt},
        alone=before.alone.intersection(kept),
    )


def without(
    label: str,
    limits: Limits,
    given: Limits,
    retired: Iterable[tuple[EngineRecord, str | None]],
) -> Limits:
    """Return ``limits`` after the retired engine of that label has ended; ``retired`` still run.

    Its address and its needs do not apply to the variant that has its label now.
    """
    learnt = {key: amounts for key, amounts in limits.learnt.items() if key != label}
    if label in given.learnt:
        learnt[label] = given.learnt[label]
    return replace(limits, addresses=beside(retired, given.addresses), learnt=learnt)


def beside(
    retired: Iterable[tuple[EngineRecord, str | None]], addresses: Mapping[str, str]
) -> Mapping[str, str]:
    """Return ``addresses`` by label, in which each of ``retired`` keeps its own address.

    The variant that has its label now cannot start before the retired engine has ended.
    """
    found = dict(addresses)
    for record, address in retired:
        found.pop(record.variant.label, None)
        if address is not None:
            found[record.variant.label] = address
    return found
