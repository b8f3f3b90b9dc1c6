"""The models that are served, and how each of their variants is planned. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.base import Forecast
from engine.resources.rules import RAM
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.scheduling.engine_table import EngineRecord
    from models.spec import ModelSpec, VariantSpec


def served_view(
    models: Iterable[ModelSpec],
    records: Iterable[EngineRecord],
    learnt: Mapping[str, Mapping[str, int]],
    layers: Callable[[VariantSpec], str],
    forecast: Callable[[VariantSpec], Forecast],
) -> list[dict[str, Any]]:
    """Return each model with its variants as plain JSON values; memory in bytes by resource.

    ``learnt`` is the memory that was measured, by label; ``layers`` returns how many layers of a
    variant are for the GPU, ``forecast`` what one that was not planned will take.
    """
    by_label = {record.variant.label: record for record in records}
    return [
        {
            "name": model.name,
            "engine": model.engine,
            "found": model.found,
            "size": model.size or None,
            "quantisation": model.quantisation,
            "variants": [
                _variant(
                    each,
                    by_label.get(each.label),
                    learnt.get(each.label, {}),
                    layers(each),
                    _planned(each, forecast),
                )
                for each in model.variants
            ],
        }
        for model in models
    ]


def _variant(
    variant: VariantSpec,
    record: EngineRecord | None,
    learnt: Mapping[str, int],
    layers: str,
    planned: Forecast,
) -> dict[str, Any]:
    return {
        "label": variant.label,
        "name": variant.shown,
        "context": variant.context,
        "parallel": variant.parallel,
        "placement": placement(learnt or planned.needs),
        "gpu_layers": layers,
        "estimated": dict(planned.needs),
        "unknown": planned.unknown,
        "learnt": dict(learnt),
        "load_seconds": None if record is None else round(record.load_seconds, 3) or None,
        "state": (State.STOPPED if record is None else record.state).value,
    }


def _planned(variant: VariantSpec, forecast: Callable[[VariantSpec], Forecast]) -> Forecast:
    known = variant.estimated or variant.needs
    return Forecast(known) if known else forecast(variant)


def placement(memory: Mapping[str, int]) -> str:
    """Return where memory of these resources is: ``gpu``, ``ram``, ``both``, "" if not known."""
    used = {name for name, size in memory.items() if size > 0}
    if not used:
        return ""
    if used == {RAM}:
        return "ram"
    return "both" if RAM in used and memory[RAM] > _little(memory) else "gpu"


def _little(memory: Mapping[str, int]) -> int:
    """Return how much main memory every engine on a GPU takes for itself: a tenth of it all."""
    return sum(memory.values()) // 10
