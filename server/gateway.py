"""``GatewayServer``: the sites it listens on, and the order of start and shutdown."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from server.dispatch import Dispatcher
from utils.errors import ConfigError
from utils.logger import get_logger
from utils.settings import Endpoint
from utils.signals import on_stop_signals
from utils.tasks import TaskOwner, first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from engine.manager import EngineManager
    from models.catalog import Catalog
    from server.handler import RequestHandler
    from utils.settings import ServerSettings

_log = get_logger("server")
# Time for responses whose engine has stopped to reach their clients.
_FLUSH = 2.0


class GatewayServer:
    """Listens, and ends in good order."""

    def __init__(
        self,
        settings: ServerSettings,
        catalog: Catalog,
        handler: RequestHandler,
        manager: EngineManager,
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._dispatcher = Dispatcher(catalog, handler, manager, settings)
        self._stop_signals = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGINT or SIGTERM; the exit status. ConfigError when a port is taken."""
        with on_stop_signals(self._signalled):
            async with self.serving():
                await self._stop.wait()
                return await self._shut_down()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[list[Endpoint]]:
        """Inside the block requests are answered, at the endpoints it yields.

        At its end every engine has ended and every connection is closed. ConfigError when
        an address cannot be listened on; nothing was started then.
        """
        # The server beneath web.Application: a table of a few literal paths needs no router.
        server = web.Server(
            self._dispatcher.answer,
            request_factory=self._make_request,
            access_log=None,
            handler_cancellation=True,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_FLUSH)
        await runner.setup()
        try:
            await self._listen(runner)
            # Read back from the sockets: port 0 asks for any free one.
            endpoints = [Endpoint(*address[:2]) for address in runner.addresses]
            for endpoint in endpoints:
                _log.info("listening on http://%s", endpoint)
            yield endpoints
        finally:
            self._dispatcher.closing = True
            await self._manager.halt()
            await runner.cleanup()

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            asyncio.get_running_loop(),
            client_max_size=self._settings.max_request_bytes,
        )

    async def _listen(self, runner: web.ServerRunner) -> None:
        for endpoint in self._settings.listen:
            key = "listen_v6" if ":" in endpoint.host else "listen_v4"
            try:
                await web.TCPSite(runner, endpoint.host, endpoint.port).start()
            except OSError as error:
                reason = error.strerror or str(error)
                raise ConfigError(f"server.{key}: cannot listen on {endpoint}: {reason}") from error

    async def _shut_down(self) -> int:
        self._dispatcher.closing = True
        _log.info("shutting down; a second signal ends at once")
        tasks = TaskOwner("shutdown")
        hurry = tasks.spawn(self._hurry.wait(), "hurry")
        drain = tasks.spawn(self._manager.drain(self._settings.shutdown_timeout), "drain")
        await first_of(hurry, drain)
        at_once = hurry.done()
        await tasks.cancel()
        return 1 if at_once else 0

    def _signalled(self) -> None:
        self._stop_signals += 1
        (self._stop if self._stop_signals == 1 else self._hurry).set()
