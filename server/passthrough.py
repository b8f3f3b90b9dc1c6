"""The way to an engine's own pages, for all that the gateway does not answer itself.

Looking (GET and HEAD) never starts an engine and holds none: it sees what runs. Everything
else is work, waits in the queue like any request, and may start the model's engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.relay import relay
from inference.upstream_call import UpstreamCall
from models.requests import endpoints
from models.requests.endpoints import BY_PATH
from models.requests.reader import RequestFacts
from models.selection import Selection
from models.sizing import PromptSize, Source
from server.client_key import client_of, priority_of
from server.headers import to_look
from server.middleware import answered, read_body
from utils.errors import EngineBroke, ModelNotLoaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from engine.client import EngineClient
    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.spec import VariantSpec
    from server.access_log import AccessRecord
    from server.client_response import ClientResponse
    from server.configuration import Configuration
    from server.handler import RequestHandler
    from utils.clock import Clock

_UNSIZED = PromptSize(1, 1, Source.BOUND)


class Passthrough:
    """Answers requests that are addressed to an engine."""

    def __init__(
        self,
        handler: RequestHandler,
        manager: EngineManager,
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._manager = manager
        self._clock = clock

    async def look(
        self,
        request: web.BaseRequest,
        configuration: Configuration,
        name: str | None,
        path: str,
    ) -> web.StreamResponse:
        """What the model's running engine shows at ``path``; without a name, the latest engine's.

        ModelNotLoaded is told when there is none, EngineUnresponsive when it is silent.
        """
        catalog = configuration.catalog

        def find() -> tuple[VariantSpec, EngineClient]:
            return self._running(catalog, name)

        return await show(request, configuration, self._clock, find, path)

    async def through(
        self, request: web.BaseRequest, configuration: Configuration, name: str, path: str
    ) -> web.StreamResponse:
        """The engine's answer to work at ``path``; inference is sized as it is anywhere."""
        endpoint = BY_PATH.get(path.partition("?")[0])
        if endpoint is not None and request.method == "POST":
            return await self._handler.handle(
                request, configuration, endpoint, model=name, path=path
            )

        async def serve(down: ClientResponse, record: AccessRecord) -> None:
            await self._work(request, configuration, name, path, down, record)

        patience = configuration.settings.client_timeout
        return await answered(request, self._clock, patience, serve, path)

    def _running(self, catalog: Catalog, name: str | None) -> tuple[VariantSpec, EngineClient]:
        model = None if name is None else catalog.find(name).name
        for variant, client in reversed(self._manager.ready()):
            if model in (None, variant.model):
                return variant, client
        what = "No model is loaded" if model is None else f"The model '{model}' is not loaded"
        raise ModelNotLoaded(f"{what}, and a look does not load one.")

    async def _work(
        self,
        request: web.BaseRequest,
        configuration: Configuration,
        name: str,
        path: str,
        down: ClientResponse,
        record: AccessRecord,
    ) -> None:
        model = configuration.catalog.find(name)
        record.model = model.name
        settings = configuration.settings
        priority = priority_of(request.headers, allowed=settings.priority_header)
        body = await read_body(request, settings.max_request_bytes, settings.client_timeout)
        # Whatever it is: the engine may answer with a stream, after which it hangs up.
        facts = RequestFacts(endpoints.AUXILIARY, body, model.name, stream=True, max_output=0)
        selection = Selection(model, model.variants[0], _UNSIZED, 0)
        record.client = client_of(request.headers, request.remote)
        lease = self._manager.lease(selection.minimum, record.client, priority)
        record.ticket = lease.request
        try:
            async with lease:
                exchange = UpstreamCall(self._manager, lease, selection, facts)
                async with await exchange.open_unread(
                    path, request.headers, request.method
                ) as upstream:
                    record.variant = lease.variant.label
                    record.first = self._clock.now() - record.started
                    down.decided = {"X-Gateway-Variant": lease.variant.label}
                    try:
                        await relay(upstream, down)
                    except EngineBroke as error:
                        raise await exchange.broken(error) from error
        finally:
            record.queued, record.loading = lease.queued, lease.loading


async def show(
    request: web.BaseRequest,
    configuration: Configuration,
    clock: Clock,
    find: Callable[[], tuple[VariantSpec, EngineClient]],
    path: str,
) -> web.StreamResponse:
    """The answer of the engine that ``find`` finds, which the request neither starts nor holds."""

    async def serve(down: ClientResponse, record: AccessRecord) -> None:
        variant, client = find()
        record.model, record.variant = variant.model, variant.label
        headers = to_look(request.headers)
        headers["Connection"] = "close"
        async with await client.look(path, headers, request.method) as upstream:
            down.decided = {"X-Gateway-Variant": variant.label}
            await relay(upstream, down)

    return await answered(request, clock, configuration.settings.client_timeout, serve, path)
