"""``Discovery``: the models of a configuration and of this machine, as a catalog.

1. A model with variants is as the configuration has it.
2. For a model by its file, with ``path`` or ``hf``, variants are planned.
3. Then come models that were found or imported, unless the configuration has their files.

What cannot be served is left out, and the reason is logged.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.fit_probe import has_fit
from engine.llamacpp.planned import Planner
from engine.llamacpp.prompt_cache.fingerprint import with_shards
from engine.llamacpp.shipped import bundled_model, bundled_server
from engine.resources.machine import machine_memory
from engine.resources.rules import RAM
from models.catalog import Catalog, models_of
from models.discovery.inventory import AUTO, MANUAL, Entry, Taken, inventory
from models.discovery.scan import (
    UNREAD,
    entry_of,
    heads_of,
    listings_of,
    stores_here,
    this_machine,
    with_head,
)
from models.discovery.state import load_entries, save_entries, state_of_entries
from models.discovery.stores import HUB, JAN, LLAMACPP, LMSTUDIO, OLLAMA, Store, stores
from models.downloads.local import local_model
from models.downloads.reference import NEVER, NOT_READ, Missing, Wanted, wanted
from models.gguf import BadModelFile
from models.head_cache import HeadCache
from utils.collector import give_way, let_go, uncollected
from utils.config.local_models import DiscoverTable, LaunchOptions
from utils.config.schema import read
from utils.config.tables import Tables
from utils.errors import ConfigError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from models.discovery.listing import Listing
    from models.downloads.local import LocalModel
    from models.planning import MachineMemory
    from models.spec import ModelSpec
    from utils.config.settings import ServerSettings

_log = get_logger("models")
# The name of the bundled model if it is the only one.
BUNDLED = "smollm2"
# What a gateway without a configuration serves.
EVERYTHING = Tables({}, [], discover={"on": True, "ollama": True})
_DOUBTFUL = "made for Ollama, it may not load here; to try it, name its file in a configuration"
_KINDS = {"hf": HUB, "llamacpp": LLAMACPP, "lmstudio": LMSTUDIO, "jan": JAN, "ollama": OLLAMA}


def is_planned(tables: Tables) -> bool:
    """Return whether the configuration leaves models to this machine."""
    return (
        tables.discover is not None
        or bool(tables.model_dirs)
        or any(_by_file(table) for table in tables.models)
    )


def places_of(tables: Tables) -> list[Store]:
    """Return where models are looked for, by ``discover`` and ``model_dirs``."""
    found = read(DiscoverTable, tables.discover) if tables.discover is not None else None
    kinds = [kind for name, kind in _KINDS.items() if found is not None and getattr(found, name)]
    return stores_here([folder["path"] for folder in tables.model_dirs], kinds)


def table_called(tables: Tables, name: str) -> dict[str, Any] | None:
    """Return the table of the model by its file that has this name or alias, or None.

    Raises ConfigError for a model with variants of its own: nothing is planned for it.
    """
    for table in tables.models:
        if name in _names(table):
            if not _by_file(table):
                raise ConfigError(f"{name} has variants of its own in the configuration.")
            return table
    return None


def named_by(tables: Tables, settings: ServerSettings) -> Taken:
    """Return the files and the names that the configuration itself has."""
    plain = [table for table in tables.models if not _by_file(table)]
    taken = _taken(Catalog.from_tables(plain, replace(settings, default_model=None)))
    files, names = {*taken.files}, {*taken.names}
    for table in tables.models:
        if _by_file(table):
            names.update(_names(table))
            path = table["path"] if "path" in table else _path_of(table)
            files.update(_identities([path] if path else []))
    return Taken(files, names)


class _Found(NamedTuple):
    """The models that the configuration does not name, and what they were made from.

    ``said`` are the reasons why others are not served, ``unread`` the entries whose heads were not
    read.
    """

    made_from: object
    models: list[ModelSpec]
    said: set[str]
    unread: list[Entry]
    listings: Sequence[Listing] = ()


class _Unread(NamedTuple):
    """The entries whose heads were not read, by name, and what their models are made with."""

    entries: Mapping[str, Entry]
    planner: Planner
    options: LaunchOptions
    settings: ServerSettings


_NOTHING_FOUND = _Found(None, [], set(), [])


class Discovery:
    """Finds the models of this machine, as often as it is asked. It keeps its files in ``folder``.

    Their engines are ``defaults.binary``, else the ``llama-server`` on PATH, else the bundled one.
    If there is no model at all, the bundled one is served. As long as no file changes, the same
    models are returned as before, at the cost of a look at the folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.heads = HeadCache(folder)
        self._said: set[str] = set()
        self._last_found = _NOTHING_FOUND
        self._unread: _Unread | None = None
        # By path: the entry, the size of its projector, and the model planned from them.
        self._planned: dict[str, tuple[Entry, int, ModelSpec]] = {}
        self._planned_from: object = None
        self._last: tuple[object, tuple[ServerSettings, Catalog]] | None = None

    def catalog(
        self, tables: Tables, settings: ServerSettings, within: float = inf
    ) -> tuple[ServerSettings, Catalog]:
        """Return the settings and the models; raise ConfigError if there is no model at all.

        Takes some seconds if there are many. Why a model is not served is logged once. New heads
        are read for ``within`` seconds; models whose heads are not read by then are missing.
        """
        planner = _planner(tables)
        said: set[str] = set()
        missing: list[Missing] = []
        own = list(self._own(tables, planner, said, missing))
        at_last = self._found(tables, planner, settings, own, within)
        said |= at_last.said
        made_from = (at_last.made_from, own, [*missing], tables, settings)
        found = at_last.models
        missing += (Missing(e.name, Wanted(e.repo), NOT_READ, e.aliases) for e in at_last.unread)
        entries = {entry.name: entry for entry in at_last.unread}
        self._unread = _Unread(entries, planner, read(LaunchOptions, tables.defaults), settings)
        if not own and not found and not missing and not tables.models:
            found = list(self._models(self._bundled(), tables, planner, settings, said))
        for line in sorted(said - self._said):
            _log.warning("%s", line)
        self._said = said
        if self._last is not None and self._last[0] == made_from and not at_last.unread:
            return self._last[1]
        if not own and not found and all(each.download == NEVER for each in missing):
            none = "No models were found on this machine; see docs/models.md."
            raise ConfigError("\n".join([none, *sorted(said)] if tables.models else [none]))
        if not settings.resources:
            settings = replace(settings, resources=_resources(planner.machine))
        names = {name for table in own for name in _names(table)}
        names.update(name for model in found for name in (model.name, *model.aliases))
        names.update(route["name"] for route in tables.routes)
        if settings.default_model not in {None, *names}:
            _log.warning("server.default_model: no model is called %s now", settings.default_model)
            settings = replace(settings, default_model=None)
        catalog = Catalog.from_tables(
            [*own, *found], settings, tables.groups, tables.routes, tables.peers, missing
        )
        self._last = made_from, (settings, catalog)
        return settings, catalog

    def read_one(self, name: str) -> ModelSpec | None:
        """Return the found model whose head was not read by the last look; None if it has none.

        It may be called while a thread looks again.
        """
        unread = self._unread
        if unread is None or (entry := unread.entries.get(name)) is None:
            return None
        try:
            entry = with_head(entry, self.heads)
        except (OSError, BadModelFile):
            # The next look tells why.
            return None
        made = _found_model(entry, unread.planner, unread.options, unread.settings)
        return None if isinstance(made, str) else made

    async def again(
        self, tables: Tables, settings: ServerSettings
    ) -> tuple[ServerSettings, Catalog]:
        """Return the same as ``catalog``, without blocking the event loop."""
        with uncollected():
            return await asyncio.to_thread(self.catalog, tables, settings)

    def _own(
        self, tables: Tables, planner: Planner, said: set[str], missing: list[Missing]
    ) -> Iterator[dict[str, Any]]:
        """Yield the models of the configuration, with variants; add the others to ``missing``."""
        taken = {name for table in tables.models for name in _names(table)}
        for table in tables.models:
            if not _by_file(table):
                yield table
                continue
            entry = self.entry(table)
            if "hf" in table and not entry.path:
                download = table.get("download", NEVER)
                name, *others = _names(table)
                missing.append(Missing(name, _wanted(table), download, tuple(others)))
                if download != NEVER:
                    continue
            options = read(LaunchOptions, {**tables.defaults, **table})
            made = _made(entry, planner, options, table.get("draft"))
            if isinstance(made, str):
                said.add(f"{table['name']} is not served: {made}")
                continue
            aliases = [alias for alias in _aliases(entry) if alias not in taken]
            taken.update(aliases)
            yield {**table, **made, "aliases": [*table.get("aliases", ()), *aliases]}

    def entry(self, table: Mapping[str, Any]) -> Entry:
        """Return what is known of the file of a model's table. Blocks."""
        projector = table.get("mmproj")
        if (repository := table.get("hf")) is not None:
            there = _in_cache(table)
            if there is None:
                problem = f"{repository} is not in the hub cache"
                return Entry(table["name"], "", (), 0, problem=problem)
            entry = entry_of(there.path, self.heads)
            if there.projector is not None:
                entry = replace(entry, projector=str(there.projector))
            entry = replace(entry, repo=repository.partition(":")[0])
        else:
            entry = entry_of(Path(table["path"]), self.heads)
        if projector is not None:
            entry = replace(entry, projector=projector or "")
        return replace(entry, name=table["name"])

    def _found(
        self,
        tables: Tables,
        planner: Planner,
        settings: ServerSettings,
        own: Sequence[dict[str, Any]],
        within: float,
    ) -> _Found:
        """Return the models that the configuration does not name."""
        if tables.discover is None and not tables.model_dirs:
            return _NOTHING_FOUND
        folders = [str(Path(f["path"])) for f in tables.model_dirs if f.get("keep")]
        before = [
            replace(entry, state=MANUAL) if entry.root in folders else entry
            for entry in load_entries(self._folder)
        ]
        taken = _taken(Catalog.from_tables(own, replace(settings, default_model=None)))
        listings = listings_of(places_of(tables), before)
        options = tables.defaults, tables.discover, tables.model_dirs, settings
        made_from = listings, state_of_entries(self._folder), taken, planner, options
        if made_from == self._last_found.made_from:
            files = _files(listings)
            del listings, made_from
            let_go(before, files)
            return self._last_found
        known, sure = heads_of(listings, self.heads, within)
        there = inventory(listings, known, before, taken)
        kept = [
            replace(entry, state=AUTO) if entry.root in folders else entry
            for entry in there.entries
        ]
        save_entries(self._folder, kept)
        said = {f"{path}: {problem}" for path, problem in there.problems.items()}
        entries = _chosen(there.entries, read(DiscoverTable, tables.discover or {}))
        unread = [each for each in entries if each.problem.endswith(UNREAD)]
        entries = [each for each in entries if not each.problem.endswith(UNREAD)]
        made = list(self._models(entries, tables, planner, settings, said))
        made_from = listings, state_of_entries(self._folder), taken, planner, options
        found = _Found(made_from, made, said, unread, listings)
        # Most of these are the same as before, and not kept.
        ended = [before, kept, entries, list(there.entries), _files(self._last_found.listings)]
        self._last_found = found if sure else _NOTHING_FOUND
        del there
        let_go(*ended)
        return found

    def _models(
        self,
        entries: Sequence[Entry],
        tables: Tables,
        planner: Planner,
        settings: ServerSettings,
        said: set[str],
    ) -> Iterator[ModelSpec]:
        """Yield the models of the entries that can be served, those of before if they are equal."""
        options = read(LaunchOptions, tables.defaults)
        inherited = options, planner, settings
        before = self._planned if inherited == self._planned_from else {}
        self._planned_from, self._planned = inherited, {}
        for entry in entries:
            known = before.get(entry.path)
            if known is not None and known[0] == entry and known[1] == _size_of(entry.projector):
                self._planned[entry.path] = known
                yield known[2]
                continue
            made = _found_model(entry, planner, options, settings)
            if isinstance(made, str):
                said.add(f"{entry.name} is not served: {made}")
                continue
            self._planned[entry.path] = entry, _size_of(entry.projector), made
            yield made

    def _bundled(self) -> Sequence[Entry]:
        """Return the entry of the bundled model; none if its package is not installed."""
        path = bundled_model()
        if not path:
            return []
        return [replace(entry_of(Path(path), self.heads), name=BUNDLED, aliases=())]


def _by_file(table: Mapping[str, Any]) -> bool:
    return "path" in table or "hf" in table


def _names(table: Mapping[str, Any]) -> list[str]:
    aliases = table.get("aliases", ())
    return [table["name"], *(a if isinstance(a, str) else a["name"] for a in aliases)]


def _planner(tables: Tables) -> Planner:
    machine = machine_memory()
    usual = shutil.which("llama-server") or bundled_server()
    binary = tables.defaults.get("binary") or usual
    # Without a GPU there is nothing to divide.
    fits = not machine.gpus or machine.unified or has_fit(binary)
    return Planner(machine, binary, fits)


def _found_model(
    entry: Entry, planner: Planner, options: LaunchOptions, settings: ServerSettings
) -> ModelSpec | str:
    """Return the model of an entry that was found, or the reason why it cannot be served."""
    made = _DOUBTFUL if entry.doubtful else _made(entry, planner, options)
    if isinstance(made, str):
        return made
    [model] = models_of([{**made, "found": True}], settings)
    return model


def _resources(machine: MachineMemory) -> Mapping[str, int]:
    """Return the memory of the machine as ``server.resources`` would have it."""
    gpus = () if machine.unified else machine.gpus
    return {RAM: machine.ram} | {f"gpu{number}": gpu for number, gpu in enumerate(gpus)}


def _made(
    entry: Entry, planner: Planner, options: LaunchOptions, draft: str | None = None
) -> dict[str, Any] | str:
    """Return the table of a model, or the reason why it cannot be served."""
    if not entry.ready or entry.facts is None:
        return entry.problem or "its head cannot be read"
    beside = 0
    for path in filter(None, (entry.projector, draft)):
        try:
            beside += Path(path).stat().st_size
        except OSError as error:
            return f"{path}: {(error.strerror or str(error)).lower()}"
    if options.binary not in {None, planner.binary} and planner.machine.gpus:
        planner = replace(planner, fits=has_fit(str(options.binary)))
    return planner.table(entry, options, draft, beside)


def _size_of(path: str | None) -> int:
    """Return the size of the file, 0 without one."""
    if not path:
        return 0
    give_way()
    with suppress(OSError):
        return Path(path).stat().st_size
    return -1


def _aliases(entry: Entry) -> list[str]:
    """Return further names for a model of the configuration: its file, and its repository."""
    path = Path(entry.path)
    return [name for name in (path.stem, path.name, entry.repo) if name and name != entry.name]


def _in_cache(table: Mapping[str, Any]) -> LocalModel | None:
    """Return the model of ``hf`` if it is in a cache of this machine."""
    sought = _wanted(table)
    for store in stores(this_machine(), (HUB, LLAMACPP)):
        if (found := local_model(Path(store.path), sought)) is not None:
            return found
    return None


def _wanted(table: Mapping[str, Any]) -> Wanted:
    return wanted(table["hf"], table.get("file", ""), table.get("revision", ""))


def _path_of(table: Mapping[str, Any]) -> str | None:
    there = _in_cache(table)
    return None if there is None else str(there.path)


def _taken(catalog: Catalog) -> Taken:
    """Return the files and the names that the models of the configuration have."""
    files: set[tuple[int, int]] = set()
    for model in catalog.models:
        for variant in model.variants:
            if model.engine not in {"", "llamacpp"}:
                continue
            files.update(_identities(Arguments.of(variant, os.environ).files()))
    return Taken(files, {name for m in catalog.models for name in (m.name, *m.aliases)})


def _identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    for path in with_shards(paths):
        with suppress(OSError, ValueError):
            state = Path(path).stat()
            yield state.st_dev, state.st_ino


def _chosen(entries: Sequence[Entry], found: DiscoverTable) -> list[Entry]:
    """Return the entries by ``include``, ``exclude`` and ``limit``, in the order of their names."""

    def fits(entry: Entry, patterns: Sequence[str]) -> bool:
        names = [name.lower() for name in (entry.name, *entry.aliases)]
        return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in patterns)

    kept = [
        entry
        for entry in entries
        if (not found.include or fits(entry, found.include)) and not fits(entry, found.exclude)
    ]
    if len(kept) <= found.limit:
        return kept
    newest = {e.path for e in sorted(kept, key=_changed, reverse=True)[: found.limit]}
    return [entry for entry in kept if entry.path in newest]


def _changed(entry: Entry) -> float:
    give_way()
    try:
        return Path(entry.path).stat().st_mtime
    except OSError:
        return 0.0


def _files(listings: Iterable[Listing]) -> list[Any]:
    """Return the files of all stores, to let them go a few at a time."""
    return [file for listing in listings for file in listing.files]
