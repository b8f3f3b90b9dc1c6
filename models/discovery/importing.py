"""Import the models of a folder: they stay known, also while their files are away. Blocks."""

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

    from models.discovery.inventory import Inventory, Taken


def import_folder(folder: Path, state: Path, taken: Taken) -> Inventory:
    """Remember the models in ``folder`` in the state folder; return them.

    ``taken`` is what a configuration names already. Raises NotADirectoryError if it is no folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    before = load_entries(state)
    store = Store(FOLDER, str(folder.absolute()))
    there = scan([store], HeadCache(state), before=before, taken=taken)
    imported = {e.path: replace(e, state=MANUAL) for e in there.entries if e.root == store.path}
    kept = [entry for entry in before if entry.path not in imported]
    save_entries(state, (*kept, *imported.values()))
    return replace(there, entries=tuple(imported.values()))
