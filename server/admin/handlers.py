"""``AdminHandlers``: what operators see and do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from server.admin.events import as_text, follow_events, follow_log
from server.admin.params import params_in
from server.admin.status import Sight, running_view
from server.client_key import client_of
from server.metrics import Present
from server.middleware import answered, read_body
from server.routes import ADMIN, Admin, request_in
from utils.errors import BadRequest, GatewayError, ShuttingDown, UnknownPath, WrongMethod
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from models.spec import ModelSpec, VariantSpec
    from server.access_log import AccessRecord
    from server.admin.params import Params
    from server.admin.reload import Reloader
    from server.client_response import ClientResponse
    from server.configuration import Configuration
    from server.telemetry import Telemetry
    from utils.clock import Clock

_log = get_logger("admin")
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_OK = 200
_ACCEPTED = 202
# What an order may hold, with room to spare.
_LARGEST_ORDER = 64 * 1024


class AdminHandlers:
    """Answers on the admin paths; who may ask was decided before."""

    def __init__(
        self, manager: EngineManager, telemetry: Telemetry, clock: Clock, reloader: Reloader
    ) -> None:
        self._manager = manager
        self._telemetry = telemetry
        self._clock = clock
        self._reloader = reloader
        self._tasks = TaskOwner("admin")
        self._closing = False
        telemetry.metrics.show(self._present)

    async def close(self) -> None:
        """What goes on without an end has ended, and no more of it begins."""
        self._closing = True
        self._telemetry.close()
        await self._tasks.cancel()

    async def answer(
        self, request: web.BaseRequest, configuration: Configuration
    ) -> web.StreamResponse:
        """The response to a request for an admin path."""
        if (request_id := request_in(request.path)) is not None:
            _only(request, ("DELETE",))
            self._telemetry.requests.cancel(request_id)
            return _json({"cancelled": request_id})
        methods = ADMIN.get(request.path)
        if methods is None:
            raise UnknownPath(f"Nothing is served at {request.path}.")
        _only(request, tuple(methods))
        what = methods[request.method]
        if request.method == "POST":
            return await self._obey(request, configuration, what)
        return await self._show(request, configuration, what)

    # -- looking ---------------------------------------------------------------------

    async def _show(
        self, request: web.BaseRequest, configuration: Configuration, what: Admin
    ) -> web.StreamResponse:
        if what is Admin.RUNNING:
            return _json(self._running())
        if what is Admin.METRICS:
            body, kind = self._telemetry.metrics.page(request.headers.get("Accept", ""))
            return web.Response(body=body, headers={"Content-Type": kind})
        source = request.query.get("model")
        if source is not None:
            source = configuration.catalog.find(source).name
        if what is Admin.LOGS:
            text = as_text(self._telemetry.log.lines(source))
            return web.Response(body=text, content_type="text/plain", charset="utf-8")
        if self._closing:
            raise ShuttingDown("The gateway is shutting down.")
        settings = configuration.settings
        if what is Admin.LOG_STREAM:
            return await follow_log(request, self._clock, settings, self._telemetry, source)
        return await follow_events(request, self._clock, settings, self._telemetry, self._snapshot)

    def _running(self) -> dict[str, Any]:
        sights = []
        for record in self._manager.records():
            process = self._manager.process(record.ticket)
            idle = self._manager.idle_time(record)
            if process is None:
                sights.append(Sight(record, None, None, idle))
                continue
            prompt_cache = (
                process.prompt_cache.standing.value if process.prompt_cache is not None else "off"
            )
            sights.append(Sight(record, process.pid, process.client.url, idle, prompt_cache))
        line = self._manager.line()
        return running_view(sights, line, self._telemetry.requests, self._manager.now())

    def _snapshot(self) -> bytes:
        return self._telemetry.event("snapshot", self._running())

    def _present(self) -> Present:
        waiting, in_flight = self._manager.waiting(), len(self._telemetry.requests)
        return Present(self._manager.records(), waiting, in_flight)

    # -- doing -----------------------------------------------------------------------

    async def _obey(
        self, request: web.BaseRequest, configuration: Configuration, what: Admin
    ) -> web.StreamResponse:
        if what is Admin.CONFIG:
            return await self._read_configuration(request)
        patience = configuration.settings.client_timeout
        params = params_in(await read_body(request, _LARGEST_ORDER, patience))
        if what is Admin.LOAD:
            return await self._load(request, configuration, params)
        name = params.text("model") if what is Admin.UNLOAD else None
        force = params.flag("force")
        params.end()
        model = None if name is None else configuration.catalog.find(name).name
        gone = await self._manager.unload(model, force=force)
        labels = [variant.label for variant in gone]
        _log.info("unloaded %s", ", ".join(labels) or "nothing: no engine was running")
        return _json({"unloaded": labels})

    async def _load(
        self, request: web.BaseRequest, configuration: Configuration, params: Params
    ) -> web.StreamResponse:
        model = configuration.catalog.find(params.text("model"))
        variant = _variant(model, params.number("variant"))
        params.end()
        client = client_of(request.headers, request.remote)
        if request.query.get("wait", "1") in ("0", "false", "no"):
            self._tasks.spawn(self._load_unwatched(variant, client), f"load {variant.label}")
            return _json({"loading": variant.label}, _ACCEPTED)

        async def serve(down: ClientResponse, record: AccessRecord) -> None:
            record.model, record.client = model.name, client
            loaded = await self._loaded(variant, client, record)
            await down.answer(_OK, _JSON, orjson.dumps(loaded))

        return await answered(request, self._clock, configuration.settings.client_timeout, serve)

    async def _loaded(
        self, variant: VariantSpec, client: str, record: AccessRecord | None = None
    ) -> dict[str, Any]:
        """What runs now and serves ``variant``, which was started for it if nothing did."""
        running = next(
            (ran for ran, _ in self._manager.ready() if _serves(ran, variant)),
            None,
        )
        loading = 0.0
        if running is None:
            lease = self._manager.lease(variant, client)
            if record is not None:
                record.ticket = lease.request
            async with lease:
                running, loading = lease.variant, lease.loading
                if record is not None:
                    record.queued, record.loading = lease.queued, lease.loading
        if record is not None:
            record.variant = running.label
        return {
            "model": running.model,
            "variant": running.label,
            "context": running.context,
            "load_seconds": round(loading, 3),
        }

    async def _load_unwatched(self, variant: VariantSpec, client: str) -> None:
        try:
            await self._loaded(variant, client)
        except GatewayError as error:
            _log.warning("%s was not loaded: %s", variant.label, error.message)

    async def _read_configuration(self, request: web.BaseRequest) -> web.StreamResponse:
        dry_run = request.query.get("dry_run", "0") not in ("0", "false", "no")
        return _json(await self._reloader.reload(dry_run=dry_run))


def _variant(model: ModelSpec, context: int | None) -> VariantSpec:
    if context is None:
        return model.variants[0]
    for variant in model.variants:
        if variant.context == context:
            return variant
    known = ", ".join(str(variant.context) for variant in model.variants)
    raise BadRequest(
        f"'{model.name}' has no variant of context {context}; it has {known}.", param="variant"
    )


def _serves(running: VariantSpec, wanted: VariantSpec) -> bool:
    return running.model == wanted.model and running.context >= wanted.context


def _only(request: web.BaseRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        raise WrongMethod(f"{request.path} does not take {request.method}.", methods)


def _json(value: dict[str, Any], status: int = _OK) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
