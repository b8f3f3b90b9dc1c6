"""Look up the machine's models, who uses their files, and which fit the memory. Blocks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.resources.machine import machine_memory
from models.discovery.inventory import AUTO
from models.discovery.scan import scan, stores_here
from models.discovery.state import load_entries
from models.discovery.stores import FOLDER, OLLAMA, USUAL
from models.head_cache import HeadCache
from models.planning import Wishes, plan
from server.admin.show_models import entry_json
from utils.errors import BadRequest, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.types import EngineTypes
    from models.catalog import Catalog
    from models.discovery.inventory import Entry, Inventory
    from models.model_file import FileFacts
    from models.planning import MachineMemory
    from models.spec import ModelSpec

    Users = dict[tuple[int, int], list[ModelSpec]]


def local_models(state: Path) -> Inventory:
    """Return every model in the stores of this machine, and those that were imported."""
    before = load_entries(state)
    # The folders of the configuration are known by what was found in them.
    folders = {entry.root for entry in before if entry.store == FOLDER and entry.state == AUTO}
    places = stores_here(sorted(folders), (*USUAL, OLLAMA))
    return scan(places, HeadCache(state), before=before)


def entry_called(found: Inventory, name: str) -> Entry:
    """Return the model with this name or alias.

    Raises ModelNotFound, or BadRequest if the alias could mean several.
    """
    for entry in found.entries:
        if name in {entry.name, *entry.aliases}:
            return entry
    if names := found.ambiguous.get(name):
        raise BadRequest(f"{name} could mean {' or '.join(names)}.", param="model")
    raise ModelNotFound(f"No model on this machine is called '{name}'.", param="model", name=name)


def users(catalog: Catalog, types: EngineTypes) -> Users:
    """Return which configured models use each file, by its identity."""
    found: Users = {}
    for model in catalog.models:
        for path in {p for each in model.variants for p in types.files(each, os.environ)}:
            with contextlib.suppress(OSError, ValueError):
                state = Path(path).stat()
                found.setdefault((state.st_dev, state.st_ino), []).append(model)
    return found


def users_of(entry: Entry, known: Users) -> list[ModelSpec]:
    """Return the configured models that use a file of this one."""
    found: list[ModelSpec] = []
    for path in entry.files:
        with contextlib.suppress(OSError):
            state = Path(path).stat()
            found += known.get((state.st_dev, state.st_ino), [])
    return list({model.name: model for model in found}.values())


def models_page(
    found: Inventory, known: Users, loaded: Collection[str], machine: MachineMemory
) -> dict[str, Any]:
    """Return the models as JSON: which fit, under which names they are served, which are loaded."""
    models = []
    for entry in found.entries:
        using = users_of(entry, known)
        served = [model.name for model in using]
        models.append(
            {
                **entry_json(entry),
                **fits(entry.facts, machine, _size(entry.projector)),
                "served_as": served,
                "loaded": any(name in loaded for name in served),
                "configured": any(not model.found for model in using),
            }
        )
    return {"models": models, "problems": dict(found.problems)}


def fits(facts: FileFacts | None, machine: MachineMemory, projector: int) -> dict[str, Any]:
    """Return whether the model fits the machine, and in which contexts; None for not known."""
    if facts is None:
        return {"fits": None, "contexts": []}
    try:
        made = plan(facts, machine, Wishes(beside=projector))
    except ValueError:
        return {"fits": None, "contexts": []}
    contexts = [
        {"context": each.context, "memory": each.memory.total + projector, "why": each.why}
        for each in made.variants
    ]
    return {"fits": made.fits, "contexts": contexts}


def this_memory() -> MachineMemory:
    """Return the memory of this machine."""
    return machine_memory()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size if path else 0
    except OSError:
        return 0
