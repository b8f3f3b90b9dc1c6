"""``GatewayServer``: the sites it listens on, and the order of start and shutdown."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from models.request import Kind
from server.downstream import Downstream
from server.routes import ROUTES, Page, model_in
from server.views import health_view, model_view, models_view
from utils.clock import LoopClock
from utils.errors import (
    ConfigError,
    GatewayError,
    ModelNotFound,
    ShuttingDown,
    UnknownPath,
    WrongMethod,
)
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
_READING = ("GET", "HEAD")


class GatewayServer:
    """Listens, hands inference requests to the handler, shows models and health."""

    def __init__(
        self,
        settings: ServerSettings,
        catalog: Catalog,
        handler: RequestHandler,
        manager: EngineManager,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._handler = handler
        self._manager = manager
        self._created = int(time.time())
        self._closing = False
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
            self._answer,
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
            self._closing = True
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
        self._closing = True
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        methods = ROUTES.get(request.path)
        if methods is None and (name := model_in(request.path)) is not None:
            return await self._one_model(request, name)
        if methods is None:
            return await _refuse(request, UnknownPath(f"Nothing is served at {request.path}."))
        what = methods.get(request.method)
        if what is None:
            message = f"{request.path} does not take {request.method}."
            return await _refuse(request, WrongMethod(message, tuple(methods)))
        if isinstance(what, Kind):
            if self._closing:
                return await _refuse(request, ShuttingDown("The gateway is shutting down."))
            return await self._handler.handle(request, what)
        return _json(self._page(what))

    async def _one_model(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        if request.method not in _READING:
            message = f"{request.path} does not take {request.method}."
            return await _refuse(request, WrongMethod(message, _READING))
        try:
            model = self._catalog.find(name)
        except ModelNotFound as error:
            return await _refuse(request, error)
        return _json(model_view(model, self._manager.records(), self._created))

    def _page(self, page: Page) -> dict[str, Any]:
        records = self._manager.records()
        if page is Page.MODELS:
            return models_view(self._catalog, records, self._created)
        return health_view(records, self._manager.waiting(), closing=self._closing)


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def _refuse(request: web.BaseRequest, error: GatewayError) -> web.StreamResponse:
    down = Downstream(request, LoopClock())
    await down.fail(error)
    return down.response
