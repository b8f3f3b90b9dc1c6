"""Find the models of this machine: list the stores, read heads, make the inventory. Blocks."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.discovery.inventory import MANUAL, inventory
from models.discovery.stores import USUAL, Machine, Store, lmstudio_settings, stores
from models.discovery.walk import PATIENCE, listings
from models.gguf import BadModelFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.discovery.inventory import Entry, Inventory, Taken
    from models.discovery.listing import Listing
    from models.head_cache import HeadCache
    from models.model_file import FileFacts


def this_machine() -> Machine:
    """Return what decides where the stores of this machine's user are."""
    # Without a home there is no such folder, and nothing is found there.
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises
    machine = Machine(os.environ, home, sys.platform)
    try:
        text = Path(lmstudio_settings(machine)).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return machine
    return Machine(machine.environ, machine.home, machine.platform, text)


def stores_here(folders: Sequence[str] = (), kinds: Iterable[str] = USUAL) -> list[Store]:
    """Return the stores of this machine's user, of these kinds, and the own ``folders``."""
    return stores(this_machine(), kinds, [str(Path(folder).absolute()) for folder in folders])


def scan(
    places: Iterable[Store],
    heads: HeadCache,
    *,
    before: Sequence[Entry] = (),
    taken: Taken | None = None,
    within: float = PATIENCE,
) -> Inventory:
    """Return the models in these stores, and those imported ``before``.

    The listing takes ``within`` seconds at most. Heads that are not in the cache are read, some
    milliseconds of CPU each, and kept there.
    """
    places = list(dict.fromkeys(places))
    imported = [entry for entry in before if entry.state == MANUAL]
    more = {Store(entry.store, entry.root) for entry in imported} - {*places}
    # Of a folder from which models were imported, only these count.
    wanted = {path for entry in imported for path in (*entry.files, entry.projector)}
    found = [
        listing
        if listing.store not in more
        else replace(listing, files=tuple(f for f in listing.files if f.path in wanted))
        for listing in listings([*places, *sorted(more, key=lambda store: store.path)], within)
    ]
    made = inventory(found, _known(found, heads), before, taken)
    heads.save()
    return made


def _known(found: list[Listing], heads: HeadCache) -> dict[tuple[int, int], FileFacts | str]:
    known: dict[tuple[int, int], FileFacts | str] = {}
    for file in (file for listing in found for file in listing.files):
        if file.identity in known:
            continue
        try:
            known[file.identity] = heads.facts(Path(file.path))
        except BadModelFile as error:
            known[file.identity] = str(error)
        except OSError as error:
            known[file.identity] = (error.strerror or str(error)).lower()
    return known
