"""``GatewayServer``: listens for requests, and orders start and shutdown."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING

from aiohttp import web

from server.admin.grants import Grants
from server.admin.handlers import AdminHandlers
from server.admin.links import LinkHandlers, page_url
from server.admin.presence import local_url
from server.admin.routing import RoutingHandlers
from server.admin.slots import SlotHandlers
from server.lm_studio import LmStudioHandlers
from server.messages import MessagesHandlers
from server.middleware import Middleware
from server.ollama import OllamaHandlers
from server.pages import PageHandlers
from server.pages_of_ollama import OllamaPages
from server.passthrough import Passthrough
from server.protocol import HttpServer
from server.records.captures import CaptureHandlers, Captures
from server.records.pages import RecordPages
from server.records.recorder import Recorder
from server.responses.conversations import Conversations
from server.responses.handlers import ResponseHandlers
from server.responses.history import History
from server.responses.pages import ConversationHandlers
from server.responses.runs import BackgroundRuns
from server.routes import routes
from server.status_pages import StatusPages
from server.streams import StreamRoutes
from server.telemetry import Telemetry
from server.voice_routes import VoiceRoutes
from server.websocket import WebSockets
from utils.clock import LoopClock
from utils.config.settings import Endpoint
from utils.errors import CannotListen
from utils.logger import also_logged_to, get_logger
from utils.signals import on_hangup, on_stop_signals
from utils.tasks import TaskOwner, first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from accounts.service import Accounts
    from engine.manager import EngineManager
    from engine.peers import PeerDirectory
    from models.catalog import Catalog
    from server.account_pages import AccountPages
    from server.admin.model_handlers import ModelHandlers
    from server.admin.reload import Reloader
    from server.configuration import CurrentConfiguration
    from server.handler import RequestHandler
    from server.people.people import People
    from server.responses.store import ResponseStore
    from server.tls import Certificates
    from utils.clock import Clock
    from web.site import Site

_log = get_logger("server")
Announce = Callable[[list[Endpoint]], AbstractContextManager[None]]
# Seconds for the last bytes of responses to reach their clients after the engines have stopped.
_FLUSH = 2.0
# Models that the log lists at the start.
_SHOWN = 100
# Seconds in which the link of the log is good.
_DAY = 24 * 3600
# Connections that come at once. One more would be tried again by its client's system, a second
# later or more. The system may have a limit of its own.
_BACKLOG = 1024
# The folder of ended requests, samples and uptime, in the state folder.
RECORDS = "records"


class GatewayServer:
    """Listens for requests. At its end, it waits for the answers and then stops the engines."""

    def __init__(
        self,
        current: CurrentConfiguration,
        handler: RequestHandler,
        manager: EngineManager,
        reloader: Reloader,
        store: ResponseStore,
        certificates: Certificates,
        folder: Path,
        models: ModelHandlers,
        peers: PeerDirectory,
        site: Site,
        accounts: Accounts | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._peers = peers
        self._accounts = accounts
        self._people = None if accounts is None else people_of(accounts)
        self._current = current
        self._manager = manager
        self._reloader = reloader
        self._certificates = certificates
        self._telemetry = Telemetry(handler.requests)
        manager.observe(self._telemetry)
        self._streams = handler.streams
        self._sockets = WebSockets(manager)
        self._models = models
        self._admin = AdminHandlers(manager, self._telemetry, reloader)
        self.recorder = Recorder(self._telemetry, self._admin.present, folder / RECORDS)
        clock = clock or LoopClock()
        conversations, runs = Conversations(store), BackgroundRuns(self._telemetry, clock)
        self._responses = ResponseHandlers(
            handler,
            History(store, conversations, runs.__contains__),
            runs,
            clock,
        )
        self._voice = VoiceRoutes(handler, current, clock, accounts)
        captures = Captures()
        status = StatusPages(manager, accounts)
        self._grants = Grants(lambda: current.now.settings.own_token, time.time)
        table = routes(
            handler.answers,
            Passthrough(handler, manager),
            StreamRoutes(handler.streams, manager),
            self._sockets,
            status,
            MessagesHandlers(handler),
            OllamaHandlers(handler, manager, clock),
            OllamaPages(manager, models),
            LmStudioHandlers(manager),
            self._admin,
            models,
            self._responses,
            ConversationHandlers(conversations),
            RecordPages(
                self.recorder, manager, folder, None if accounts is None else accounts.price_of
            ),
            RoutingHandlers(handler.router),
            CaptureHandlers(captures),
            SlotHandlers(manager, self._admin),
            PageHandlers(site, status.root),
            LinkHandlers(self._grants),
            self._voice,
            None if accounts is None else account_pages(accounts),
            None if self._people is None else self._people.routes,
        )
        self._frame = Middleware(
            current, table, self._telemetry, clock, accounts, self._people, captures, self._grants
        )
        self._stop_signals = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, announce: Announce) -> int:
        """Serve until SIGINT or SIGTERM; return the exit status.

        SIGHUP loads the configuration again. The gateway serves inside the block of ``announce``.
        Raises CannotListen if an address cannot be listened on.
        """
        with (
            on_stop_signals(self._signalled),
            on_hangup(self._reloader.ask, self._signalled),
        ):
            async with self.serving() as endpoints:
                with announce(endpoints):
                    for line in _served(self._current.now.catalog):
                        _log.info("%s", line)
                    async with self._reloader.running():
                        await self._stop.wait()
                return await self._shut_down()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[list[Endpoint]]:
        """Answer requests inside the block, at the endpoints that it yields.

        After the block every engine has ended and every connection is closed. Raises CannotListen
        if an address cannot be listened on; then nothing was started.
        """
        with also_logged_to(self._telemetry.log), self._telemetry.access.gathering():
            self._telemetry.log.attach(asyncio.get_running_loop())
            async with (
                self._open_accounts(),
                self.recorder.running(),
                self._listening() as endpoints,
                self._peers.running(),
            ):
                url = local_url(endpoints[0], self._certificates.scheme)
                if self._people is not None:
                    await self._people.welcome(url)
                elif self._current.now.settings.own_token:
                    link = page_url(url, self._grants.link(_DAY))
                    _log.info("to see and control it in a browser, open once: %s", link)
                yield endpoints

    def _open_accounts(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._accounts is None else self._accounts.running()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[list[Endpoint]]:
        # The lane reads plain HTTP; aiohttp has the connections of TLS.
        tls = self._certificates.context is not None
        fast = (lambda: False) if tls else self._current.fast_lane
        server = HttpServer(self._frame, fast=fast)
        runner = web.ServerRunner(server, shutdown_timeout=_FLUSH)
        await runner.setup()
        try:
            await self._listen(runner)
            # Read from the sockets, because port 0 means any free port.
            endpoints = [Endpoint(*address[:2]) for address in runner.addresses]
            for endpoint in endpoints:
                _log.info("listening on %s://%s", self._certificates.scheme, endpoint)
            now = self._current.now
            self._admin.preload(map(now.catalog.find, now.settings.preload))
            yield endpoints
        finally:
            await self._close()
            await self._manager.halt()
            await runner.cleanup()
            await self._frame.captures.finish()

    async def _listen(self, runner: web.ServerRunner) -> None:
        for endpoint in self._current.now.settings.listen:
            key = "listen_v6" if ":" in endpoint.host else "listen_v4"
            try:
                context = self._certificates.context
                site = web.TCPSite(
                    runner, endpoint.host, endpoint.port, ssl_context=context, backlog=_BACKLOG
                )
                await site.start()
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise CannotListen(
                    f"server.{key}: cannot listen on {endpoint}: {reason}"
                ) from error

    async def _shut_down(self) -> int:
        _log.info("shutting down; a second signal ends at once")
        await self._close()
        tasks = TaskOwner("shutdown")
        hurry = tasks.spawn(self._hurry.wait(), "hurry")
        patience = self._current.now.settings.shutdown_timeout
        drain = tasks.spawn(self._manager.drain(patience), "drain")
        await first_of(hurry, drain)
        at_once = hurry.done()
        await tasks.cancel()
        return 1 if at_once else 0

    async def _close(self) -> None:
        """Accept no more work; end detached streams, runs in the background, admin streams."""
        self._frame.closing = True
        self._streams.close()
        self._sockets.close()
        self._voice.close()
        await self._responses.close()
        await self._admin.close()
        await self._models.close()

    def _signalled(self) -> None:
        self._stop_signals += 1
        (self._stop if self._stop_signals == 1 else self._hurry).set()


def people_of(accounts: Accounts) -> People:
    """Return what is needed for people with accounts, imported only where there are any."""
    from server.people.people import People  # noqa: PLC0415 - see above

    return People(accounts)


def account_pages(accounts: Accounts) -> AccountPages:
    """Return the pages of accounts, whose modules are imported only where there are any."""
    from server.account_pages import AccountPages  # noqa: PLC0415 - see above

    return AccountPages(accounts)


def _served(catalog: Catalog) -> Iterator[str]:
    """Yield a line for each model: its names, and its variants from small to large."""
    for model in catalog.models[:_SHOWN]:
        also = f" (also {', '.join(model.aliases)})" if model.aliases else ""
        names = ", ".join(
            variant.label.removeprefix(f"{model.name}@") for variant in model.variants
        )
        yield f"model {model.name}{also}: {names}"
    if (more := len(catalog.models) - _SHOWN) > 0:
        yield f"and {more} more models: see /v1/models"
