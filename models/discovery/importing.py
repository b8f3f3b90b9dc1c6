"""Import the models of a folder: they stay known while their files are away. Blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.discovery.inventory import MANUAL
from models.discovery.scan import scan
from models.discovery.state import load_entries, save_entries
from models.discovery.stores import FOLDER, Store
from models.head_cache import HeadCache

if TYPE_CHECKING:
    from pathlib import Path

    from models.discovery.inventory import Entry, Inventory, Taken


def import_folder(folder: Path, state: Path, taken: Taken) -> Inventory:
    """Remember the models in ``folder`` in the state folder; return them.

    ``taken`` is what a configuration names already. Raises NotADirectoryError if it is no folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    before = load_entries(state)
    store = Store(FOLDER, str(folder.absolute()))
    there = scan([store], HeadCache(state), before=before, taken=taken)
    # What is no model would stay in the list for good.
    imported = {
        entry.path: replace(entry, state=MANUAL)
        for entry in there.entries
        if entry.root == store.path and (entry.facts is not None or entry.ready)
    }
    kept = [entry for entry in before if entry.path not in imported]
    save_entries(state, (*kept, *imported.values()))
    return replace(there, entries=tuple(imported.values()))


def forget(entry: Entry, state: Path) -> None:
    """Forget an imported model; its files stay, and are found where models are looked for."""
    save_entries(state, [each for each in load_entries(state) if each.path != entry.path])
