"""What the gateway shows of itself. Pure: records in, plain JSON values out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.lifecycle import State
from models.capabilities import capabilities_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.scheduler import EngineRecord
    from models.catalog import Catalog
    from models.spec import ModelSpec


def models_view(catalog: Catalog, records: Iterable[EngineRecord], created: int) -> dict[str, Any]:
    """``/v1/models``: every model, whether loaded or not."""
    states = _states(records)
    return {
        "object": "list",
        "data": [_entry(model, states[model.name], created) for model in catalog.models],
    }


def model_view(model: ModelSpec, records: Iterable[EngineRecord], created: int) -> dict[str, Any]:
    """``/v1/models/{id}``: one of them."""
    return _entry(model, _states(records)[model.name], created)


def health_view(records: Iterable[EngineRecord], waiting: int, *, closing: bool) -> dict[str, Any]:
    """``/health``: the gateway's own state, and each engine that is not simply stopped."""
    return {
        "status": "shutting down" if closing else "ok",
        "waiting": waiting,
        "engines": [
            {
                "model": record.variant.model,
                "variant": record.variant.label,
                "context": record.variant.context,
                "state": record.state.value,
                "active": len(record.active),
                **({"reason": record.reason} if record.reason else {}),
            }
            for record in records
            if record.state is not State.STOPPED
        ],
    }


def _entry(model: ModelSpec, state: State, created: int) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": created,
        "owned_by": "llm-gateway",
        "aliases": list(model.aliases),
        "context_length": model.largest.context,
        "capabilities": capabilities_of(model).shown(),
        "state": state.value,
        "variants": [variant.context for variant in model.variants],
    }


def _states(records: Iterable[EngineRecord]) -> dict[str, State]:
    """Each model's most telling state: a live variant's, else a failed one's, else stopped."""
    states: dict[str, State] = {}
    for record in records:
        before = states.get(record.variant.model, State.STOPPED)
        if record.state.live or before is State.STOPPED:
            states[record.variant.model] = record.state
    return states
