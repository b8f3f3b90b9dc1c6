"""``Reloader``: changes the configuration of a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.peers import PeerDirectory
from engine.process.health import checks_of
from engine.process.slots import Slot
from engine.scheduling.policy import limits_of, policy_of
from models.changes import Changes, applied, changes
from models.routing.peers import with_peers
from server.configuration import Configuration, ModelCapabilities
from server.tls import Certificates
from utils.errors import ConfigError, ShuttingDown
from utils.logger import get_logger, set_level
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.selection import ModelSelector
    from server.configuration import CurrentConfiguration
    from utils.config.settings import ServerSettings

_log = get_logger("reload")

Load = Callable[[], Awaitable["tuple[ServerSettings, Catalog]"]]


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
    ) -> None:
        self._peers = peers or PeerDirectory()
        self._peers.changed = self.extend
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
        # Called in ``running``, and after each reload.
        self.applied: Callable[[], None] = lambda: None

    def extend(self) -> None:
        """Apply what the peers have now; nothing is loaded for it."""
        now = self._current.now
        before = now.settings, now.catalog
        after = now.settings, self._with_peers(*before)
        if not self._closed and (found := changes(before, after)):
            self._apply(found, *applied(before, after))

    def _with_peers(self, settings: ServerSettings, catalog: Catalog) -> Catalog:
        return with_peers(catalog, settings, self._peers.listings)

    async def reload(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Load the configuration and apply it, unless ``dry_run``; return the changes.

        Raises ConfigError with the faults of the file, or ShuttingDown after ``running`` has
        ended; then nothing has changed. A cancelled reload is applied completely or not at all.
        """
        async with self._lock:
            after = await self._load()
            # Reads the heads of new model files.
            await asyncio.to_thread(ModelCapabilities, after[1], self._current.now.types)
            # Read even if no setting has changed: the files may have.
            certificate = await asyncio.to_thread(self._certificates.read, after[0].tls)
            if self._closed:
                raise ShuttingDown("The gateway is shutting down.")
            now = self._current.now
            before = now.settings, now.catalog
            # Last, as their models may change at each await.
            after = after[0], self._with_peers(*after)
            found = changes(before, after)
            if not dry_run:
                self._certificates.use(certificate)
                self._apply(found, *applied(before, after))
                self.applied()
        return {"dry_run": dry_run, **found.shown()}

    def ask(self) -> None:
        """Request a reload by ``running``. One reload may answer several calls."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer ``ask`` and watch the files inside the block; after it nothing reloads."""
        tasks = TaskOwner("reload")
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

    def _apply(self, found: Changes, settings: ServerSettings, catalog: Catalog) -> None:
        """Apply all changes without an await, so that no request sees only some of them."""
        now = self._current.now
        if not found and catalog.missing == now.catalog.missing:
            _log.info("the configuration is loaded, nothing has changed")
            return
        level, types = now.settings.log_level, now.types
        # What may raise comes first; after it nothing fails half-way.
        configuration = Configuration.of(settings, catalog, types)
        policy, limits = policy_of(settings), limits_of(catalog, settings, types)
        self._current.now = configuration
        self._peers.watch(catalog.peers)
        self._selector.forget(found.stale)
        self._manager.reconfigure(
            catalog,
            found.kept,
            policy,
            limits,
            port_range=settings.ports,
            checks=checks_of(settings),
            slots=[Slot(each.port, each.type) for each in settings.slots],
        )
        _log.info("the configuration is loaded:\n  %s", "\n  ".join(found.lines()))
        if settings.log_level != level:
            set_level(settings.log_level)
