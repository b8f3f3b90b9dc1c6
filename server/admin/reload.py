"""``Reloader``: changes the configuration of a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.peers import PeerDirectory
from engine.process.health import checks_of
from engine.process.slots import Slot
from engine.scheduling.policy import Policy, limits_of, policy_of
from models.changes import Changes, applied, changes
from models.copies import with_copies, without_copies
from models.routing.peers import with_peers
from server.configuration import Configuration
from server.tls import Certificates
from utils.collector import uncollected
from utils.errors import ConfigError, ShuttingDown
from utils.logger import get_logger, set_level
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from engine.manager import EngineManager, Prepared
    from models.catalog import Catalog
    from models.routing.peers import Listing
    from models.selection import ModelSelector
    from models.spec import ModelSpec
    from server.admin.copy_store import CopyStore
    from server.configuration import CurrentConfiguration
    from utils.config.settings import ServerSettings

    # What adds to the catalog of a configuration: the lists of peers, and the copies of models.
    _Sources = tuple[dict[str, Listing], Mapping[str, str]]

_log = get_logger("reload")

Load = Callable[[], Awaitable["tuple[ServerSettings, Catalog]"]]
# Reads the head of a model's file; None if it is none that can be served.
ReadOne = Callable[[str], Awaitable["ModelSpec | None"]]
# How often changes are prepared anew because peers have changed meanwhile; then at once.
_TRIES = 3
# With so many models, changes are prepared in a thread.
_MANY = 500
# Changes that the log shows.
_SHOWN = 100


class _Prepared(NamedTuple):
    """What a reload applies to the configuration ``before``; without ``news`` there is nothing."""

    before: Configuration
    found: Changes
    news: _News | None


class _News(NamedTuple):
    configuration: Configuration
    policy: Policy
    engines: Prepared
    lines: list[str]


async def _nothing(_: str) -> None:
    """Return None: no model waits for its head."""


class Reloader:
    """Loads the configuration again and applies it, one reload at a time.

    ``load`` returns settings and models, or raises ConfigError. ``watch``, if given, yields each
    time the files have changed.
    """

    def __init__(
        self,
        load: Load,
        current: CurrentConfiguration,
        manager: EngineManager,
        selector: ModelSelector,
        watch: AsyncIterator[None] | None = None,
        certificates: Certificates | None = None,
        peers: PeerDirectory | None = None,
        copies: CopyStore | None = None,
    ) -> None:
        self._peers = peers or PeerDirectory()
        self._peers.changed = self.extend
        self._copies = copies
        if copies is not None:
            copies.changed = self.extend
        self._peers.watch(current.now.catalog.peers)
        self._load = load
        self._current = current
        self._manager = manager
        self._selector = selector
        self._certificates = certificates or Certificates(None)
        self._watch = watch
        self._lock = asyncio.Lock()
        self._asked = asyncio.Event()
        self._closed = False
        self._tasks = TaskOwner("reload")
        self._reading: dict[str, asyncio.Task[None]] = {}
        self.read_one: ReadOne = _nothing
        # Called in ``running``, and after each reload.
        self.applied: Callable[[], None] = lambda: None

    def extend(self) -> asyncio.Future[None]:
        """Apply what the peers and the copies are now; nothing is loaded for it.

        It is done when it returns, but with very many models once the returned future is.
        """
        now = self._current.now
        if len(now.catalog.models) >= _MANY and not self._closed:
            return self._tasks.spawn(self._change(lambda catalog: catalog), "extend")
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        if not self._closed:
            self._apply(self._extending(now.settings, now.catalog, self._sources()))
        return done

    async def include(self, name: str) -> None:
        """Serve the model of this name if it is known and only its head was not read yet.

        A cancelled call goes on.
        """
        task = self._reading.get(name)
        if task is None:
            task = self._reading[name] = self._tasks.spawn(self._include(name), f"read {name}")
            task.add_done_callback(lambda _: self._reading.pop(name, None))
        await asyncio.shield(task)

    async def _include(self, name: str) -> None:
        model = await self.read_one(name)
        if model is None:
            return

        def included(catalog: Catalog) -> Catalog:
            there = catalog.has_model(model.name)
            return catalog if there else catalog.with_models((*catalog.models, model))

        await self._change(included)

    async def _change(self, change: Callable[[Catalog], Catalog]) -> None:
        """Apply the change to the present catalog; the work is done in a thread."""

        def prepared_from(now: Configuration, sources: _Sources) -> _Prepared:
            return self._extending(now.settings, change(now.catalog), sources)

        with uncollected():
            for _ in range(_TRIES):
                now, sources = self._current.now, self._sources()
                prepared = await asyncio.to_thread(prepared_from, now, sources)
                if prepared.before is now is self._current.now and sources == self._sources():
                    break
            else:
                prepared = prepared_from(self._current.now, self._sources())
            if not self._closed:
                self._apply(prepared)

    def _sources(self) -> _Sources:
        """Return what the peers and the copies are now."""
        return {**self._peers.listings}, {} if self._copies is None else self._copies.known

    def _extended(self, settings: ServerSettings, catalog: Catalog, sources: _Sources) -> Catalog:
        """Return the catalog with the models of peers, and with copies, whose names count last."""
        listings, copies = sources
        return with_copies(with_peers(without_copies(catalog), settings, listings), copies)

    async def reload(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Load the configuration and apply it, unless ``dry_run``; return the changes.

        Raises ConfigError with the faults of the file, or ShuttingDown after ``running`` has
        ended; then nothing has changed. A cancelled reload is applied completely or not at all.
        """
        async with self._lock:
            with uncollected():
                prepared = await self._reloaded(dry_run=dry_run)
        return {"dry_run": dry_run, **prepared.found.shown()}

    async def _reloaded(self, *, dry_run: bool) -> _Prepared:
        after = await self._load()
        # Read even if no setting has changed: the files may have.
        certificate = await asyncio.to_thread(self._certificates.read, after[0].tls)
        prepared = await self._prepared_apart(*after)
        if self._closed:
            raise ShuttingDown("The gateway is shutting down.")
        if not dry_run:
            self._certificates.use(certificate)
            self._apply(prepared)
            self.applied()
        return prepared

    def ask(self) -> None:
        """Request a reload by ``running``. One reload may answer several calls."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer ``ask`` and watch the files inside the block; after it nothing reloads."""
        tasks = self._tasks
        tasks.spawn(self._answer(), "asked")
        self.applied()
        if self._watch is not None:
            tasks.spawn(self._follow(self._watch), "watch")
        try:
            yield
        finally:
            self._closed = True
            await tasks.cancel()

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except ConfigError as error:
                _log.error("the configuration stays as it was: %s", error.message)
            except Exception:  # noqa: BLE001 - the next reload must work, whatever this one raised
                _log.exception("the configuration stays as it was: the gateway failed to load it")

    async def _follow(self, watch: AsyncIterator[None]) -> None:
        try:
            async for _ in watch:
                self.ask()
        except OSError as error:
            _log.error("the configuration is not watched any more: %s", error)

    async def _prepared_apart(self, settings: ServerSettings, catalog: Catalog) -> _Prepared:
        """Return the changes, made in a thread: with very many models they take seconds."""
        for _ in range(_TRIES):
            # Models of peers and copies may change meanwhile.
            sources = self._sources()
            prepared = await asyncio.to_thread(self._extending, settings, catalog, sources)
            if prepared.before is self._current.now and sources == self._sources():
                return prepared
        return self._extending(settings, catalog, self._sources())

    def _extending(
        self, settings: ServerSettings, catalog: Catalog, sources: _Sources
    ) -> _Prepared:
        return self._prepared((settings, self._extended(settings, catalog, sources)))

    def _prepared(self, after: tuple[ServerSettings, Catalog]) -> _Prepared:
        """Return the changes of the present configuration. Reads the heads of new model files."""
        now = self._current.now
        before = now.settings, now.catalog
        found = changes(before, after)
        settings, catalog = applied(before, after)
        if not found and catalog.missing == now.catalog.missing:
            return _Prepared(now, found, None)
        limits = limits_of(catalog, settings, now.types)
        news = _News(
            Configuration.of(settings, catalog, now.types, now),
            policy_of(settings),
            self._manager.prepared(catalog, found.kept, limits),
            found.lines(),
        )
        return _Prepared(now, found, news)

    def _apply(self, prepared: _Prepared) -> None:
        """Apply all changes without an await, so that no request sees only some of them."""
        found, news = prepared.found, prepared.news
        if news is None:
            _log.info("the configuration is loaded, nothing has changed")
            return
        level, settings = prepared.before.settings.log_level, news.configuration.settings
        self._current.now = news.configuration
        self._peers.watch(news.configuration.catalog.peers)
        self._selector.forget(found.stale)
        self._manager.reconfigure(
            news.engines,
            news.policy,
            port_range=settings.ports,
            checks=checks_of(settings),
            slots=[Slot(each.port, each.type) for each in settings.slots],
        )
        lines = news.lines
        if (more := len(lines) - _SHOWN) > 0:
            lines = [*lines[:_SHOWN], f"and {more} more changes"]
        _log.info("the configuration is loaded:\n  %s", "\n  ".join(lines))
        if settings.log_level != level:
            set_level(settings.log_level)
