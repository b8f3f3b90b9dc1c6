"""The composition root: from settings and models to a gateway that can serve.

Used by main.py and by the tests alike.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.checks import Verdict, absent, examined, misaddressed
from engine.llamacpp.discovery import (
    EVERYTHING,
    Discovery,
    is_planned,
    named_by,
    places_of,
    table_called,
)
from engine.llamacpp.planned import wishes_of
from engine.llamacpp.prompt_cache.manager import PromptCacheManager
from engine.llamacpp.prompt_cache.store import StateStore
from engine.llamacpp.shipped import bundled_model, bundled_server
from engine.llamacpp.type import LlamaCpp
from engine.manager import EngineManager
from engine.peers import PeerDirectory
from engine.process.health import checks_of
from engine.process.orphans import OrphanRegistry
from engine.process.slots import Slot
from engine.resources.learnt_store import LearntNeeds, LoadTimes, PromptCacheMisses
from engine.resources.memory import Memory
from engine.resources.preload import Preloader
from engine.scheduling.policy import limits_of, policy_of
from engine.types import EngineTypes
from inference.run import Inference
from models.catalog import Catalog
from models.copies import with_copies
from models.discovery.inventory import Taken
from models.downloads.pulls import Pulls
from models.downloads.reference import NOT_READ
from models.head_cache import HeadCache
from models.planning import Wishes
from models.remarks import faults_of_preload, remarks
from models.routing.check import faults_of_routes
from models.selection import ModelSelector
from models.sizing import Sizer
from server.active_profile import ActiveProfile
from server.admin.copy_store import CopyStore
from server.admin.model_commands import Planned
from server.admin.model_handlers import ModelHandlers
from server.admin.reload import Reloader
from server.classifier import Classifier
from server.configuration import Configuration, CurrentConfiguration
from server.gateway import GatewayServer
from server.handler import RequestHandler
from server.missing_models import MissingModels
from server.responses.store import ResponseStore
from server.router import Router
from server.tls import Certificates, read_pair
from utils.clock import LoopClock
from utils.collector import uncollected
from utils.config.child import load_apart
from utils.config.loader import ConfigLoader, faulty
from utils.config.local_models import LaunchOptions
from utils.config.lua_data import Presets
from utils.config.schema import read
from utils.config.settings import ServerSettings, server_settings
from utils.config.written import Written
from utils.logger import get_logger
from utils.state_folder import state_folder
from web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from accounts.service import Accounts
    from engine.base import EngineType
    from engine.llamacpp.tokenizer import LlamaTokenize
    from inference.call import Hooks
    from models.discovery.stores import Store
    from models.downloads.hub import Hub
    from models.selection import Selection
    from models.spec import ModelSpec
    from server.admin.reload import Load, ReadOne
    from utils.clock import Clock
    from utils.config.accounts import AccountsSettings
    from utils.config.tables import Tables

# The folder for saved prompt caches, in the state folder.
STATES = "slots"
# The folder for the converted weights of embedded engines that hear, there too.
SPEECH = "speech"


@dataclass(frozen=True, slots=True)
class App:
    """A gateway, and the parts of it that main.py and the tests use.

    ``inference`` runs calls to models without HTTP. ``orphans.sweep()`` ends the engines that an
    earlier gateway has left. ``scheme`` is that of the gateway's URLs.
    """

    gateway: GatewayServer
    inference: Inference
    manager: EngineManager
    reloader: Reloader
    orphans: OrphanRegistry
    scheme: str


def build(
    settings: ServerSettings,
    catalog: Catalog,
    load: Load,
    folder: Path,
    *,
    own_token: str = "",
    clock: Clock | None = None,
    prompt_caches: PromptCacheManager | None = None,
    tokenizer: LlamaTokenize | None = None,
    watch: AsyncIterator[None] | None = None,
    hooks: Hooks | None = None,
    heads: HeadCache | None = None,
    read_one: ReadOne | None = None,
) -> App:
    """Return a gateway for these models that keeps its files in ``folder``; it does not run yet.

    ``own_token`` is a token for the admin paths, beside the configured one. ``load`` is called for
    each reload; each time ``watch`` yields, a reload follows. Without ``prompt_caches`` no prompt
    cache is saved. ``hooks`` admit each call to a model, and settle it. ``heads`` is what is known
    of model files, ``read_one`` reads one that a request needs at once. ConfigError if the
    certificate cannot be used.
    """
    clock = clock or LoopClock()
    settings = replace(settings, own_token=own_token)
    accounts = None
    orphans = OrphanRegistry(folder)
    heads = heads or HeadCache(folder)
    types = engine_types(prompt_caches, tokenizer, heads, folder / SPEECH)
    copies = CopyStore(folder)
    catalog = with_copies(catalog, copies.known)
    memory = Memory(clock, LearntNeeds(folder, os.environ, types), wait=settings.memory_wait)
    manager = EngineManager(
        catalog,
        policy_of(settings),
        clock,
        orphans,
        types,
        limits=limits_of(catalog, settings, types),
        memory=memory,
        port_range=settings.ports,
        checks=checks_of(settings),
        slots=[Slot(each.port, each.type) for each in settings.slots],
        preloader=Preloader(LoadTimes(folder, os.environ, types), enabled=settings.warm_loads),
    )
    selector = ModelSelector(Sizer(manager, types, types), manager)
    current = CurrentConfiguration(Configuration.of(settings, catalog, types))
    heads.save()
    if settings.accounts is not None:
        accounts = _accounts(settings.accounts, folder, manager)
        hooks = accounts.hooks
    inference = Inference(selector, manager, clock, still_has=current.still_has, hooks=hooks)
    certificates = Certificates(settings.tls)
    peers = PeerDirectory()
    reloader = Reloader(load, current, manager, selector, watch, certificates, peers, copies)
    router = Router(manager, Classifier(inference, clock), peers, ActiveProfile(folder))
    pulls = Pulls(_hub, reloader.reload, folder)
    reloader.read_one = read_one or reloader.read_one
    missing = MissingModels(pulls, current, reloader.include)

    def applied() -> None:
        _tell_absent(current.now.catalog, types)
        missing.begin(current.now.catalog.missing.values())

    reloader.applied = applied
    handler = RequestHandler(inference, router, missing)
    store = ResponseStore.of(settings, folder)
    models = ModelHandlers(manager, reloader, pulls, _hub, folder, copies)
    gateway = GatewayServer(
        current,
        handler,
        manager,
        reloader,
        store,
        certificates,
        folder,
        models,
        peers,
        Site(),
        accounts,
        clock,
    )
    return App(gateway, inference, manager, reloader, orphans, certificates.scheme)


def _tell_absent(catalog: Catalog, types: EngineTypes) -> None:
    """Warn of engines whose programs or packages are not installed, before a request needs them."""
    for line in absent(catalog, types):
        get_logger("engines").warning(line)


def _hub() -> Hub:
    # Its client takes a while to import, and most gateways never need it.
    from models.downloads.hub import hub_here  # noqa: PLC0415 - see above

    return hub_here()


def _accounts(settings: AccountsSettings, folder: Path, manager: EngineManager) -> Accounts:
    """Return the accounts; their modules are imported only where there are any."""
    from accounts.hooks import Effects  # noqa: PLC0415 - see above
    from accounts.service import Accounts  # noqa: PLC0415 - see above

    def loads(selection: Selection) -> bool:
        running = manager.running(selection.model)
        return running is None or running.capacity < selection.minimum.capacity

    def evicts(selection: Selection) -> bool:
        return loads(selection) and not manager.fits(selection.minimum)

    return Accounts(settings, folder, Effects(loads, evicts))


def engine_types(
    prompt_caches: PromptCacheManager | None = None,
    tokenizer: LlamaTokenize | None = None,
    heads: HeadCache | None = None,
    speech: Path | None = None,
) -> EngineTypes:
    """Return every type of engine, the default first; ``speech`` is a folder for weights."""
    llamacpp = LlamaCpp(prompt_caches, tokenizer, heads)
    return EngineTypes(
        [llamacpp],
        {
            "generic": _generic,
            "remote": _remote,
            "whisper": partial(_whisper, speech),
            "piper": _piper,
            "espeak": _espeak,
        },
    )


# Their modules are imported only where the configuration names them.


def _generic() -> EngineType:
    from engine.generic.type import Generic  # noqa: PLC0415 - see above

    return Generic()


def _remote() -> EngineType:
    from engine.remote.type import Remote  # noqa: PLC0415 - see above

    return Remote()


def _whisper(speech: Path | None) -> EngineType:
    from engine.whisper.type import Whisper  # noqa: PLC0415 - see above

    return Whisper(speech)


def _piper() -> EngineType:
    from engine.piper.type import Piper  # noqa: PLC0415 - see above

    return Piper()


def _espeak() -> EngineType:
    from engine.espeak.type import Espeak  # noqa: PLC0415 - see above

    return Espeak()


def presets() -> Presets:
    """Return the values of ``presets`` in a configuration on this machine."""
    return Presets(engine_types().names, bundled_server(), bundled_model())


class Added(NamedTuple):
    """What the command line adds to a configuration: a model of the hub, and folders of models."""

    model: Mapping[str, Any] | None = None
    folders: tuple[str, ...] = ()

    def to(self, tables: Tables) -> Tables:
        """Return the tables with what is added. Requests without a model are for the new one."""
        known = {folder["path"] for folder in tables.model_dirs}
        folders = [{"path": path} for path in self.folders if path not in known]
        tables = tables._replace(model_dirs=[*tables.model_dirs, *folders])
        if self.model is None:
            return tables
        name = self.model["name"]
        # The configuration may name it already, with options of its own.
        own = [] if name in {table["name"] for table in tables.models} else [dict(self.model)]
        server = {"default_model": name, **tables.server}
        return tables._replace(models=[*tables.models, *own], server=server)


NOTHING_ADDED = Added()


class Loader:
    """Loads a configuration, and looks for the models that it leaves to this machine.

    Without a ``path`` all models of the machine are served, with the settings' defaults. ``more``
    is what the command line adds to the configuration.
    """

    def __init__(self, path: Path | None, more: Added = NOTHING_ADDED) -> None:
        self._path = path
        self._more = more
        self._discovery: Discovery | None = None
        # Where models are looked for, by the configuration that was loaded last.
        self.places: list[Store] = []
        self.watched = False
        # Whether models of the last load are missing only because their heads were not read.
        self.unread = False
        self._named: Tables | None = None
        # What ``defaults`` says of the plans of models; known after ``named``.
        self.wishes = Wishes()

    def load(self, within: float = inf) -> tuple[ServerSettings, Catalog]:
        """Return the settings and the models; raise ConfigError with all faults of the file.

        Heads of new model files are read for ``within`` seconds; see ``unread``.
        """
        if self._path is None:
            return self._understood(EVERYTHING, within)
        return self._understood(ConfigLoader(self._path, presets()).load(), within)

    async def read_one(self, name: str) -> ModelSpec | None:
        """Return the model of this name whose head was not read yet, or None if it has none."""
        discovery = self._discovery
        return None if discovery is None else await asyncio.to_thread(discovery.read_one, name)

    async def again(self) -> tuple[ServerSettings, Catalog]:
        """Return the same as ``load``, without blocking the event loop."""
        tables = EVERYTHING if self._path is None else await load_apart(self._path, presets())
        if not is_planned(self._more.to(tables)):
            return self._understood(tables)
        with uncollected():
            return await asyncio.to_thread(self._understood, tables)

    @property
    def heads(self) -> HeadCache | None:
        """What is known of model files after a look for models, else None."""
        return None if self._discovery is None else self._discovery.heads

    def settings(self) -> ServerSettings:
        """Return the settings alone; no model is looked for."""
        if self._path is None:
            return ServerSettings()
        tables = ConfigLoader(self._path, presets()).load()
        return server_settings(tables.server, tables.accounts)

    def named(self) -> tuple[ServerSettings, Taken]:
        """Return the settings, and the files and names that the configuration has."""
        if self._path is None:
            return ServerSettings(), Taken()
        tables = ConfigLoader(self._path, presets()).load()
        settings = server_settings(tables.server, tables.accounts)
        self.wishes = wishes_of(read(LaunchOptions, tables.defaults))
        self._named = tables
        return settings, named_by(tables, settings)

    def planned(self, name: str) -> Planned | None:
        """Return the model by its file that the configuration calls so; known after ``named``.

        Raises ConfigError for a model with variants of its own.
        """
        if self._named is None or (table := table_called(self._named, name)) is None:
            return None
        settings = server_settings(self._named.server, self._named.accounts)
        entry = Discovery(state_folder(settings)).entry(table)
        options = read(LaunchOptions, {**self._named.defaults, **table})
        beside = [Path(path) for path in (entry.projector, table.get("draft")) if path]
        size = sum(path.stat().st_size for path in beside if path.exists())
        return Planned(entry, wishes_of(options, size), options.gpu_layers != 0)

    def _understood(self, tables: Tables, within: float = inf) -> tuple[ServerSettings, Catalog]:
        tables = self._more.to(tables)
        settings = server_settings(tables.server, tables.accounts)
        if is_planned(tables):
            self._discovery = self._discovery or Discovery(state_folder(settings))
            self.places = places_of(tables)
            self.watched = bool((tables.discover or {}).get("watch"))
            settings, catalog = self._discovery.catalog(tables, settings, within)
            self.unread = any(each.download == NOT_READ for each in catalog.missing.values())
        else:
            catalog = Catalog.from_tables(
                tables.models, settings, tables.groups, tables.routes, tables.peers
            )
        if faults := [
            *misaddressed(catalog, engine_types()),
            *faults_of_routes(catalog),
            *faults_of_preload(catalog, settings),
        ]:
            raise faulty(self._path or "", faults)
        path = None if self._path is None else self._path.absolute()
        return replace(settings, written=Written(path, tables)), catalog


def examine(settings: ServerSettings, catalog: Catalog) -> Verdict:
    """Return the faults and warnings of a configuration that loads; it may take some seconds.

    ConfigError if its certificate cannot be used.
    """
    if settings.tls is not None:
        read_pair(settings.tls)
    found = examined(catalog, engine_types())
    return found._replace(warnings=[*remarks(settings, catalog), *found.warnings])


def prompt_caches(settings: ServerSettings, folder: Path) -> PromptCacheManager | None:
    """Return the manager of prompt caches below ``folder``.

    If the folder cannot be used, log a warning and return None.
    """
    store = StateStore(folder / STATES, settings.state_budget)
    try:
        store.open()
    except OSError as error:
        reason = error.strerror
        get_logger("prompt_cache").warning("prompt caches are not saved: %s: %s", folder, reason)
        return None
    return PromptCacheManager(store, settings.state_timeout, misses=PromptCacheMisses(folder))
