"""``RequestHandler``: the one way through for an inference request.

    bytes in → RequestFacts → Selection → lease on an engine → engine's response → bytes out

Failures are raised where they are found and told to the client in one place, ``handle``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from models.request import Kind, RequestFacts, parse
from server.access import AccessRecord
from server.downstream import Downstream
from server.exchange import Exchange, decision
from server.forward import relay
from utils.errors import BadRequest, EngineBroke, GatewayError, RequestTooLarge
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
        client_timeout: float,
        max_request_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._selector = selector
        self._manager = manager
        self._clock = clock
        self._keepalive_interval = keepalive_interval
        self._client_timeout = client_timeout
        self._max_request_bytes = max_request_bytes

    async def handle(self, request: web.BaseRequest, kind: Kind) -> web.StreamResponse:
        """The client has its answer, or the error that stands for it, and one line is logged."""
        record = AccessRecord(request.method, request.path, self._clock.now())
        down = Downstream(request, self._clock, self._client_timeout)
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
        if facts.stream:
            down.keep_alive(self._keepalive_interval)
        selection = await self._selector.select(model, facts)
        record.prompt = selection.size.tokens
        down.decided = decision(selection.minimum, selection.size)
        async with self._manager.lease(selection.minimum) as lease:
            exchange = Exchange(self._manager, lease, selection, facts)
            try:
                upstream = await exchange.open(str(request.rel_url), request.headers)
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

    async def _read(self, request: web.BaseRequest, kind: Kind) -> RequestFacts:
        """The request's facts; RequestTooLarge before more than the limit is in memory."""
        if (request.content_length or 0) > self._max_request_bytes:
            raise self._too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            # curl holds a larger body back until it is asked for.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(request)
        if len(body) <= _PARSED_INLINE:
            return parse(kind, body)
        return await asyncio.to_thread(parse, kind, body)

    async def _body(self, request: web.BaseRequest) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            while not request.content.at_eof():
                async with asyncio.timeout(self._client_timeout):
                    pieces.append(await request.content.readany())
                size += len(pieces[-1])
                if size > self._max_request_bytes:
                    raise self._too_large()
        except TimeoutError:
            raise BadRequest("The request body stopped coming before its end.") from None
        except web.RequestPayloadError:
            raise BadRequest("The request body ended early or is badly encoded.") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self) -> RequestTooLarge:
        limit = self._max_request_bytes
        return RequestTooLarge(
            f"The request body exceeds {limit} bytes (server.max_request_bytes)."
        )
