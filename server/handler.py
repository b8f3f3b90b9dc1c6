"""``RequestHandler``: the one way through for an inference request.

    bytes in → RequestFacts → Selection → lease on an engine → engine's response → bytes out

Failures are raised where they are found and told to the client in one place, ``answered``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from models.capabilities import capabilities_of, require
from models.request import Kind, RequestFacts, parse
from models.shaping import shape
from server.answering import answered, read_body
from server.client_key import client_of
from server.exchange import Exchange, decision
from server.forward import relay
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from aiohttp import web

    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.selector import ModelSelector
    from server.access import AccessRecord
    from server.downstream import Downstream
    from utils.clock import Clock

# Up to here parsing takes less time than handing it to a thread.
_PARSED_INLINE = 128 * 1024


class RequestHandler:
    """Answers inference requests."""

    def __init__(
        self,
        catalog: Catalog,
        selector: ModelSelector,
        manager: EngineManager,
        clock: Clock,
        *,
        keepalive_interval: float,
        client_timeout: float,
        max_request_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._able = {model.name: capabilities_of(model) for model in catalog.models}
        self._selector = selector
        self._manager = manager
        self._clock = clock
        self._keepalive_interval = keepalive_interval
        self._client_timeout = client_timeout
        self._max_request_bytes = max_request_bytes

    async def handle(
        self,
        request: web.BaseRequest,
        kind: Kind,
        *,
        model: str | None = None,
        path: str | None = None,
    ) -> web.StreamResponse:
        """The client has its answer, or the error that stands for it, and one line is logged.

        ``model`` and ``path`` stand for what the body and the request line say, if given.
        """

        async def serve(down: Downstream, record: AccessRecord) -> None:
            await self._serve(
                request, await self._read(request, kind, model), down, record, model, path
            )

        return await answered(request, self._clock, self._client_timeout, serve)

    async def _serve(
        self,
        request: web.BaseRequest,
        facts: RequestFacts,
        down: Downstream,
        record: AccessRecord,
        named: str | None,
        path: str | None,
    ) -> None:
        model = self._catalog.find(named or facts.model)
        record.model = model.name
        require(model, self._able[model.name], facts)
        if facts.stream:
            down.keep_alive(self._keepalive_interval)
        selection = await self._selector.select(model, facts)
        record.prompt = selection.size.tokens
        down.decided = decision(selection.minimum, selection.size)
        client = client_of(request.headers, request.remote)
        async with self._manager.lease(selection.minimum, client) as lease:
            exchange = Exchange(self._manager, lease, selection, facts)
            try:
                upstream = await exchange.open(path or str(request.rel_url), request.headers)
                async with upstream:
                    record.variant = lease.variant.label
                    record.first = self._clock.now() - record.started
                    down.decided = exchange.decision()
                    try:
                        usage = await relay(upstream, down)
                    except EngineBroke as error:
                        raise await exchange.broken(error) from error
            finally:
                record.queued, record.loading = lease.queued, lease.loading
        if usage.prompt is not None:
            record.prompt = usage.prompt
            self._selector.learn(model, facts, usage.prompt)
        record.completion = usage.completion

    async def _read(self, request: web.BaseRequest, kind: Kind, named: str | None) -> RequestFacts:
        def shaped(fields: dict[str, Any], asked: str | None) -> bool:
            name = named or asked
            return shape(fields, self._catalog.find(name), name)

        body = await read_body(request, self._max_request_bytes, self._client_timeout)
        if len(body) <= _PARSED_INLINE:
            return parse(kind, body, shaped)
        return await asyncio.to_thread(parse, kind, body, shaped)
