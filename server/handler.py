"""``RequestHandler``: the one way through for an inference request.

    bytes in → RequestFacts → Selection → lease on an engine → engine's response → bytes out

Failures are raised where they are found and told to the client in one place, ``handle``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from models.capabilities import capabilities_of, require
from models.request import Kind, RequestFacts, parse
from server.access import AccessRecord
from server.downstream import Downstream
from server.exchange import Exchange
from server.forward import relay
from utils.errors import BadRequest, GatewayError, RequestTooLarge
from utils.logger import get_logger

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.selector import ModelSelector
    from utils.clock import Clock

_log = get_logger("handler")
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
        max_request_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._able = {model.name: capabilities_of(model) for model in catalog.models}
        self._selector = selector
        self._manager = manager
        self._clock = clock
        self._keepalive_interval = keepalive_interval
        self._max_request_bytes = max_request_bytes

    async def handle(self, request: web.BaseRequest, kind: Kind) -> web.StreamResponse:
        """The client has its answer, or the error that stands for it, and one line is logged."""
        record = AccessRecord(request.method, request.path, self._clock.now())
        down = Downstream(request, self._clock)
        try:
            async with down:
                await self._answer(request, kind, down, record)
                await down.end()
            record.status = down.response.status
        except ConnectionError:
            record.note = "client left"
        finally:
            record.write(self._clock.now())
        return down.response

    async def _answer(
        self, request: web.BaseRequest, kind: Kind, down: Downstream, record: AccessRecord
    ) -> None:
        try:
            await self._serve(request, kind, down, record)
        except GatewayError as error:
            record.note = type(error).__name__
            await down.fail(error)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the outermost boundary: a fault of ours, told as one
            _log.exception("a request failed in the gateway itself")
            record.note = "internal error"
            await down.fail(GatewayError("The gateway failed; its log says why."))

    async def _serve(
        self, request: web.BaseRequest, kind: Kind, down: Downstream, record: AccessRecord
    ) -> None:
        facts = await self._read(request, kind)
        model = self._catalog.find(facts.model)
        record.model = model.name
        require(model, self._able[model.name], facts)
        if facts.stream:
            down.keep_alive(self._keepalive_interval)
        selection = await self._selector.select(model, facts)
        record.prompt = selection.size.tokens
        async with self._manager.lease(selection.minimum) as lease:
            exchange = Exchange(self._manager, lease, selection, facts)
            try:
                upstream = await exchange.open(str(request.rel_url), request.headers)
                async with upstream:
                    record.variant = lease.variant.label
                    record.first = self._clock.now() - record.started
                    down.decided = exchange.decision()
                    usage = await relay(upstream, down)
            finally:
                record.queued, record.loading = lease.queued, lease.loading
        if usage.prompt is not None:
            record.prompt = usage.prompt
            self._selector.learn(model, facts, usage.prompt)
        record.completion = usage.completion

    async def _read(self, request: web.BaseRequest, kind: Kind) -> RequestFacts:
        """The request's facts; RequestTooLarge before more than the limit is in memory."""
        if (request.content_length or 0) > self._max_request_bytes:
            raise self._too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            # curl holds a larger body back until it is asked for.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except web.RequestPayloadError:
            raise BadRequest("The request body ended early or is badly encoded.") from None
        if len(body) <= _PARSED_INLINE:
            return parse(kind, body)
        return await asyncio.to_thread(parse, kind, body)

    def _too_large(self) -> RequestTooLarge:
        limit = self._max_request_bytes
        return RequestTooLarge(
            f"The request body exceeds {limit} bytes (server.max_request_bytes)."
        )
