"""The pages about models and health. Pure: records in, plain JSON values out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.scheduling.lifecycle import State
from models.capabilities import Capabilities
from models.routing.check import models_of
from models.routing.kinds import type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.base import Voice
    from engine.scheduling.scheduler import EngineRecord
    from models.catalog import Catalog
    from models.downloads.reference import Missing
    from models.spec import ModelSpec
    from utils.config.routes import RouteTable

NONE: Mapping[str, str] = MappingProxyType({})
# Bytes by resource, by the label of a variant.
Learnt = Mapping[str, Mapping[str, int]]
_NOTHING: Learnt = MappingProxyType({})


def models_view(
    catalog: Catalog,
    able: Mapping[str, Capabilities],
    records: Iterable[EngineRecord],
    created: int,
    *,
    aliases: bool = False,
    licences: Mapping[str, str] = NONE,
    learnt: Learnt = _NOTHING,
    room: bool = True,
) -> dict[str, Any]:
    """Return the page ``/v1/models``: every model, loaded or not; with ``aliases`` these too.

    ``learnt`` is what is known of each variant's memory, by its label.
    """
    of_model: dict[str, list[EngineRecord]] = {}
    for record in records:
        of_model.setdefault(record.variant.model, []).append(record)
    entries = []
    for model in catalog.models:
        if model.unlisted:
            continue
        licence = licences.get(model.name, "")
        own = of_model.get(model.name, ())
        entry = model_view(model, able, own, created, licence, learnt, room=room)
        entries += [entry, *(aliased(entry, name) for name in model.aliases if aliases)]
    here = {model.name for model in catalog.models}
    entries += [
        shared_view(name, catalog, able, created) for name in catalog.shared if name not in here
    ]
    listed = [route for route in catalog.routes.values() if not route.unlisted]
    entries += [route_view(route, catalog, able, created) for route in listed]
    entries += [missing_view(each, created) for each in dict.fromkeys(catalog.missing.values())]
    return {"object": "list", "data": entries}


def aliased(entry: dict[str, Any], alias: str) -> dict[str, Any]:
    """Return a model's entry as that of one of its aliases."""
    return {**entry, "id": alias, "alias_of": entry["id"]}


def model_view(
    model: ModelSpec,
    able: Mapping[str, Capabilities],
    records: Iterable[EngineRecord],
    created: int,
    licence: str = "",
    learnt: Learnt = _NOTHING,
    *,
    room: bool = True,
) -> dict[str, Any]:
    """Return the page ``/v1/models/{id}``.

    ``load_seconds`` has the seconds of each variant's last start, by its context or name; null
    if none was measured. The ``licence`` is shown if it is known. ``room``: an engine could be
    started now.
    """
    own = [record for record in records if record.variant.model == model.name]
    return {
        "id": model.name,
        "object": "model",
        "created": created,
        "owned_by": "llm-gateway",
        "aliases": list(model.aliases),
        "context_length": model.largest.context,
        "capabilities": able[model.name].shown(),
        "type": type_of(able[model.name]),
        **availability(model, own, room=room),
        **({"peer": model.peer} if model.peer is not None else {}),
        **({"metadata": dict(model.metadata)} if model.metadata else {}),
        **_of_file(model),
        **_memory(model, learnt),
        "state": _state(own).value,
        "variants": [variant.shown for variant in model.variants],
        "load_seconds": {
            str(record.variant.shown): round(record.load_seconds, 3) or None for record in own
        },
        **({"license": licence} if licence else {}),
    }


def _of_file(model: ModelSpec) -> dict[str, Any]:
    """Return what the file of a model tells, if the configuration names it."""
    if not model.size:
        return {}
    return {"size": model.size, "quantisation": model.quantisation}


def _memory(model: ModelSpec, learnt: Learnt) -> dict[str, Any]:
    """Return what each variant takes, in bytes by resource: by its plan, and by its starts."""
    memory = {
        str(variant.shown): {
            "estimated": dict(variant.estimated),
            "learnt": dict(learnt.get(variant.label, {})),
        }
        for variant in model.variants
        if variant.estimated or learnt.get(variant.label)
    }
    return {"memory": memory} if memory else {}


def missing_view(missing: Missing, created: int) -> dict[str, Any]:
    """Return the entry of a model that is not on this machine."""
    return {
        "id": missing.name,
        "object": "model",
        "created": created,
        "owned_by": "llm-gateway",
        "aliases": list(missing.aliases),
        "context_length": None,
        "capabilities": [],
        "available": False,
        "download": missing.download,
    }


def route_view(
    route: RouteTable, catalog: Catalog, able: Mapping[str, Capabilities], created: int
) -> dict[str, Any]:
    """Return the entry of a route: what one of its models can do, and the largest context."""
    return _of_several(route.name, "route", models_of(route, catalog), able, created)


def shared_view(
    name: str, catalog: Catalog, able: Mapping[str, Capabilities], created: int
) -> dict[str, Any]:
    """Return the entry of a name that only peers have."""
    models = [catalog.find(each) for each in catalog.shared[name]]
    entry = _of_several(name, "", models, able, created)
    return {**entry, "type": type_of(able[models[0].name])}


def _of_several(
    name: str,
    kind: str,
    models: list[ModelSpec],
    able: Mapping[str, Capabilities],
    created: int,
) -> dict[str, Any]:
    each = [able[model.name] for model in models]
    none: frozenset[str] = frozenset()
    together = Capabilities(none.union(*(found.certain for found in each)), none)
    contexts = [context for model in models if (context := model.largest.context) is not None]
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "llm-gateway",
        "aliases": [],
        "context_length": max(contexts, default=None),
        "capabilities": together.shown(),
        "type": kind,
        "models": [model.name for model in models],
    }


def voices_view(voices: Iterable[tuple[ModelSpec, Voice]]) -> dict[str, Any]:
    """Return the page ``/v1/audio/voices``: each voice, the model that has it, and its language."""
    return {
        "object": "list",
        "voices": [
            {
                "id": voice.name,
                "object": "voice",
                "name": voice.name,
                "model": model.name,
                "language": voice.language or None,
            }
            for model, voice in voices
        ],
    }


def availability(model: ModelSpec, own: Iterable[EngineRecord], *, room: bool) -> dict[str, Any]:
    """Return how many requests a ready engine would answer at once, and if it can be loaded."""
    ready = [record for record in own if record.state is State.READY]
    free = sum(max(0, record.variant.parallel - len(record.active)) for record in ready)
    return {"free_slots": free, "loadable": bool(ready) or room or model.peer is not None}


def health_view(records: Iterable[EngineRecord], waiting: int, *, closing: bool) -> dict[str, Any]:
    """Return the page ``/health``: the gateway's state, and each engine that is not stopped."""
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


def _state(records: Iterable[EngineRecord]) -> State:
    """Return the state of a live variant, else of a failed one, else stopped."""
    state = State.STOPPED
    for record in records:
        if record.state.live or state is State.STOPPED:
            state = record.state
    return state
