"""``Dispatcher``: a path and a method, to whatever answers them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from models.requests.endpoints import Endpoint
from server.access_log import AccessRecord
from server.admin.access import require_admin
from server.admin.handlers import AdminHandlers
from server.client_response import CARRIED, REQUEST_ID, ClientResponse
from server.cors import add, is_preflight
from server.passthrough import Passthrough
from server.routes import ROUTES, Page, is_admin, model_in, page_of_model, upstream_of
from server.status import health_view, model_view, models_view
from server.streams import CONTROL, StreamRoutes
from server.telemetry import TELEMETRY, Telemetry
from server.websocket import WebSockets, is_upgrade
from utils.clock import LoopClock
from utils.errors import GatewayError, ShuttingDown, UnknownPath, WrongMethod

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from server.admin.reload import Reloader
    from server.configuration import Configuration, CurrentConfiguration
    from server.handler import RequestHandler

_READING = ("GET", "HEAD")
_SAFE = (*_READING, "OPTIONS")


class Dispatcher:
    """Hands requests to the handler and to the door, and shows models and health itself."""

    def __init__(
        self,
        current: CurrentConfiguration,
        handler: RequestHandler,
        manager: EngineManager,
        telemetry: Telemetry,
        reloader: Reloader,
    ) -> None:
        self.closing = False
        self._telemetry = telemetry
        self._desk = AdminHandlers(manager, telemetry, LoopClock(), reloader)
        self._current = current
        self._handler = handler
        self._manager = manager
        self._reloader = reloader
        self._passthrough = Passthrough(handler, manager, LoopClock())
        self._streams = StreamRoutes(handler.conversations, manager, LoopClock())
        self._about_streams = {
            Page.STREAM: self._streams.stream,
            Page.STREAMS: self._streams.lookup,
            Page.CONTROL: self._streams.control,
        }
        self._sockets = WebSockets(manager, LoopClock())
        self._created = int(time.time())

    async def close(self) -> None:
        """No work is begun any more, and what goes on that nobody waits for has ended."""
        self.closing = True
        self._handler.conversations.close()
        self._sockets.close()
        await self._desk.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response, whatever was asked."""
        # Read once: whatever becomes of it, this request keeps to it.
        configuration = self._current.now
        cors = configuration.cors
        carried = request[CARRIED] = cors.headers(request.headers)
        carried[REQUEST_ID] = self._telemetry.requests.new_id()
        request[TELEMETRY] = self._telemetry
        admin = is_admin(request.path)
        try:
            if admin:
                token = configuration.settings.admin_token is not None
                cors.refuse_admin(request.headers, token=token)
            if is_preflight(request.method, request.headers):
                response: web.StreamResponse = web.Response(
                    status=204, headers=cors.preflight(request.headers)
                )
            elif admin:
                require_admin(request, configuration.settings)
                response = await self._desk.answer(request, configuration)
            else:
                cors.refuse_work(request.method, request.headers)
                response = await self._dispatch(request, configuration)
        except GatewayError as error:
            beyond = upstream_of(request.rel_url.raw_path, configuration.catalog)
            return await _refuse(request, error, beyond and beyond[1])
        if not response.prepared:
            add(response.headers, carried)
        return response

    async def _dispatch(
        self, request: web.BaseRequest, configuration: Configuration
    ) -> web.StreamResponse:
        methods = ROUTES.get(request.path)
        if methods is None:
            return await self._elsewhere(request, configuration)
        what = methods.get(request.method)
        if what is None:
            raise _wrong_method(request, tuple(methods))
        if isinstance(what, Endpoint):
            self._refuse_when_closing()
            return await self._handler.handle(request, configuration, what)
        if what in self._about_streams:
            return await self._about_streams[what](request, configuration)
        if what is Page.ENGINE:
            name = request.query.get("model")
            return await self._passthrough.look(request, configuration, name, request.path_qs)
        return _json(self._page(what, configuration))

    async def _elsewhere(
        self, request: web.BaseRequest, configuration: Configuration
    ) -> web.StreamResponse:
        """The paths that hold a model's name."""
        catalog = configuration.catalog
        beyond = upstream_of(request.rel_url.raw_path, catalog)
        if beyond is not None:
            return await self._beyond(request, configuration, *beyond)
        page = page_of_model(request.path, catalog)
        name = model_in(request.path)
        if page is None and name is None:
            raise UnknownPath(f"Nothing is served at {request.path}.")
        if request.method not in _READING:
            raise _wrong_method(request, _READING)
        if page is not None:
            return await self._passthrough.look(request, configuration, *page)
        model = catalog.find(name)
        return _json(model_view(model, self._manager.records(), self._created))

    async def _beyond(
        self, request: web.BaseRequest, configuration: Configuration, name: str, path: str
    ) -> web.StreamResponse:
        query = request.rel_url.raw_query_string
        path = f"{path}?{query}" if query else path
        if is_upgrade(request.method, request.headers):
            # Browsers let any page open a websocket, and read from it.
            configuration.cors.refuse_work("CONNECT", request.headers)
            self._refuse_when_closing()
            return await self._sockets.tunnel(request, configuration, name, path)
        if path == CONTROL and request.method == "POST":
            return await self._streams.control(request, configuration, name)
        called = request.method, path.partition("?")[0]
        if called == ("POST", "/v1/streams/lookup"):
            return await self._streams.lookup(request, configuration)
        # Who ends a stream must not wait until it has ended.
        if request.method in _SAFE or called == ("DELETE", "/v1/stream"):
            return await self._passthrough.look(request, configuration, name, path)
        self._refuse_when_closing()
        return await self._passthrough.through(request, configuration, name, path)

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise ShuttingDown("The gateway is shutting down.")

    def _page(self, page: Page, configuration: Configuration) -> dict[str, Any]:
        records = self._manager.records()
        if page is Page.MODELS:
            return models_view(configuration.catalog, records, self._created)
        return health_view(records, self._manager.waiting(), closing=self.closing)


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _wrong_method(request: web.BaseRequest, allowed: tuple[str, ...]) -> WrongMethod:
    return WrongMethod(f"{request.path} does not take {request.method}.", allowed)


async def _refuse(
    request: web.BaseRequest, error: GatewayError, path: str | None
) -> web.StreamResponse:
    clock = LoopClock()
    # The path as it was sent: decoded, it could hold a line break and forge a line of the log.
    record = AccessRecord(
        request.method,
        request.rel_url.raw_path,
        clock.now(),
        request[CARRIED][REQUEST_ID],
        note=type(error).__name__,
    )
    down = ClientResponse(request, clock, path=path)
    await down.fail(error)
    record.status = down.response.status
    now = clock.now()
    record.write(now)
    request[TELEMETRY].metrics.ended(record, now)
    return down.response
