"""``Discovery``: the models of this machine as a catalog, for a gateway without a configuration."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.llamacpp.found import found_table
from engine.llamacpp.shipped import bundled_model, bundled_server
from engine.resources.machine import machine_memory
from models.catalog import Catalog
from models.discovery.scan import scan, stores_here
from models.discovery.state import load_entries, save_entries
from models.discovery.stores import FOLDER, Store
from models.head_cache import HeadCache
from models.planning import plan
from utils.collector import uncollected
from utils.errors import ConfigError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.discovery.inventory import Entry
    from models.planning import MachineMemory
    from utils.config.settings import ServerSettings

_log = get_logger("models")
# The name of the bundled model if it is the only one.
BUNDLED = "smollm2"


class Discovery:
    """Finds the models of this machine, as often as it is asked. It keeps its files in ``folder``.

    Models are served by the ``llama-server`` on PATH, else by the bundled one, in the contexts that
    fit the memory. If there are none, the bundled model is the only one.
    """

    def __init__(self, folder: Path, settings: ServerSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._heads = HeadCache(folder)
        self._said: set[str] = set()

    def load(self) -> tuple[ServerSettings, Catalog]:
        """Return the settings and the models; raise ConfigError if there is no model at all.

        Takes some seconds if there are many. Why a model is not served is logged once.
        """
        before = load_entries(self._folder)
        found = scan(stores_here(), self._heads, before=before)
        save_entries(self._folder, found.entries)
        said = {f"{path}: {problem}" for path, problem in found.problems.items()}
        machine = machine_memory()
        binary = shutil.which("llama-server") or bundled_server()
        ready = any(entry.ready for entry in found.entries)
        tables = []
        for entry in (*found.entries, *(() if ready else self._bundled())):
            made = _planned(entry, machine, binary)
            if isinstance(made, str):
                said.add(f"{entry.name} is not served: {made}")
            else:
                tables.append(made)
        for line in sorted(said - self._said):
            _log.warning("%s", line)
        self._said = said
        if not tables:
            raise ConfigError("No models were found on this machine; see docs/models.md.")
        return self._settings, Catalog.from_tables(tables, self._settings)

    async def again(self) -> tuple[ServerSettings, Catalog]:
        """Return the same as ``load``, without blocking the event loop."""
        with uncollected():
            return await asyncio.to_thread(self.load)

    def _bundled(self) -> Sequence[Entry]:
        """Return the entry of the bundled model; none if its package is not installed."""
        path = bundled_model()
        places = [Store(FOLDER, str(Path(path).parent))] if path else []
        found = scan(places, self._heads).entries
        return [replace(entry, name=BUNDLED, aliases=()) for entry in found if entry.path == path]


def _planned(entry: Entry, machine: MachineMemory, binary: str) -> dict[str, Any] | str:
    """Return the table of a model, or the reason why it cannot be served."""
    if not entry.ready or entry.facts is None:
        return entry.problem or "its head cannot be read"
    try:
        size = Path(entry.projector).stat().st_size if entry.projector else 0
    except OSError:
        size = 0
    made = plan(entry.facts, machine, projector=size)
    return found_table(entry, made, binary) if made.fits else "it does not fit the memory"
