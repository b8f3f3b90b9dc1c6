"""Find the models of this machine: list the stores, read heads, make the inventory. Blocks."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from models.discovery.file_name import file_name
from models.discovery.found import projects_to
from models.discovery.inventory import MANUAL, Entry, inventory
from models.discovery.stores import FOLDER, USUAL, Machine, Store, lmstudio_settings, stores
from models.discovery.walk import PATIENCE, file_at, listed, listings
from models.gguf import BadModelFile
from models.model_file import MODEL, PROJECTOR, together
from utils.collector import give_way

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.discovery.found import Known
    from models.discovery.inventory import Inventory, Taken
    from models.discovery.listing import File, Listing
    from models.head_cache import HeadCache
    from models.model_file import FileFacts


# Why a model whose head has not been read yet cannot be served.
UNREAD = "its head has not been read yet"


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
    found = listings_of(places, before, within)
    return inventory(found, heads_of(found, heads)[0], before, taken)


def listings_of(
    places: Iterable[Store], before: Sequence[Entry] = (), within: float = PATIENCE
) -> list[Listing]:
    """Return the listings of these stores, and of those from which models were imported."""
    places = list(dict.fromkeys(places))
    imported = [entry for entry in before if entry.state == MANUAL]
    more = {Store(entry.store, entry.root) for entry in imported} - {*places}
    # Of a folder from which models were imported, only these count.
    wanted = {path for entry in imported for path in (*entry.files, entry.projector)}
    marks = {entry.mark for entry in imported}

    def counts(file: File) -> bool:
        return file.path in wanted or (*file.identity, file.size) in marks

    return [
        listing
        if listing.store not in more
        else replace(listing, files=tuple(filter(counts, listing.files)))
        for listing in listings([*places, *sorted(more, key=lambda store: store.path)], within)
    ]


def entry_of(path: Path, heads: HeadCache) -> Entry:
    """Return the model in the file, with its other parts and the projector beside it.

    Of the other files in its folder no heads are read, but those of projectors.
    """
    text = str(path)
    folder = listed(Store(FOLDER, str(path.parent)), depth=0)
    own = file_name(path.name)
    wanted = [
        file
        for file in folder.files
        if (named := file_name(file.name)).stem == own.stem or named.kind == PROJECTOR
    ]
    files = folder.files
    if not any(file.path == text for file in files) and (itself := file_at(path)) is not None:
        # It may have any name if the user says so.
        wanted, files = [*wanted, itself], (*files, itself)
    known, _ = heads_of([replace(folder, files=tuple(wanted))], heads)
    for entry in inventory([replace(folder, files=files)], known).entries:
        if text in entry.files:
            return entry
    return Entry(own.stem, text, (text,), 0, problem=_reason(path, heads))


def with_head(entry: Entry, heads: HeadCache) -> Entry:
    """Return the entry with what the heads of its files tell; they are read if they must be.

    Raises BadModelFile or OSError if they cannot be read, BadModelFile also if it is no model.
    """
    facts = together(heads.facts(Path(path)) for path in entry.files)
    if facts.kind != MODEL:
        raise BadModelFile(f"it is no model, but of the kind '{facts.kind}'")
    projector = entry.projector
    if projector and not projects_to(heads.facts(Path(projector)), facts):
        projector = ""
    problem = f"the file is cut: {facts.missing} of its bytes are missing" if facts.missing else ""
    return replace(
        entry,
        facts=facts,
        projector=projector,
        problem=problem,
        doubtful=facts.own_conversion,
        quantisation=entry.quantisation or facts.quantisation,
    )


def _reason(path: Path, heads: HeadCache) -> str:
    """Return why the file is no model."""
    try:
        return f"{path}: it is no model, but of the kind '{heads.facts(path).kind}'"
    except BadModelFile as error:
        return f"{path}: {error}"
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"


def heads_of(found: Iterable[Listing], heads: HeadCache, within: float = inf) -> tuple[Known, bool]:
    """Return what is known of these files, and whether it will be the same next time.

    New heads are read for ``within`` seconds. Of the other files is told that they are ``UNREAD``.
    """
    until = time.monotonic() + within
    sure = True
    known: dict[tuple[int, int], FileFacts | str] = {}
    for file in (file for listing in found for file in listing.files):
        if file.identity in known:
            continue
        give_way()
        try:
            path = Path(file.path)
            facts = heads.facts(path) if time.monotonic() < until else heads.remembered(path)
            known[file.identity] = UNREAD if facts is None else facts
            sure = sure and facts is not None
        except BadModelFile as error:
            known[file.identity] = str(error)
        except OSError as error:
            known[file.identity] = (error.strerror or str(error)).lower()
            sure = False
    heads.save()
    return known, sure
