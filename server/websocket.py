"""Websockets to an engine, under ``/upstream/<model>/…``.

The gateway has one websocket to the client and one to the engine, and passes whole messages. Each
connection has its own pings, compression and frames. An upgrade is a GET, so it never starts an
engine and never waits. But an open socket counts as a request: it takes a slot of the engine, and
the engine is not unloaded while it is open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp import WSMsgType, web

from models.capabilities import require_path
from server.exchange import of_aiohttp
from server.headers import protocols_of, to_websocket
from utils.errors import BadRequest
from utils.tasks import TaskOwner, first_of

if TYPE_CHECKING:
    from engine.lease import Lease
    from engine.manager import EngineManager
    from server.middleware import RequestContext

# Seconds to wait for the other side's close message.
_FAREWELL = 2.0
_NORMAL, _AWAY, _BROKEN = 1000, 1001, 1011
# These stand for the lack of a code and are never sent.
_NO_CODE, _LOST, _TLS = 1005, 1006, 1015

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class _End(NamedTuple):
    """How a connection ends."""

    code: int
    reason: bytes = b""


class WebSockets:
    """Connects clients with engines until one side, or the gateway, ends."""

    def __init__(self, manager: EngineManager) -> None:
        self._manager = manager
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Close every socket with the reason that the gateway shuts down."""
        self._closing.set()

    async def tunnel(self, ctx: RequestContext) -> None:
        """Open the websocket, and pass messages until it has ended.

        Raises BadRequest, ModelNotLoaded, EngineBusy or EngineUnreachable if it is not opened.
        """
        request, record = of_aiohttp(ctx.request), ctx.record
        if not web.WebSocketResponse().can_prepare(request).ok:
            raise BadRequest("The request is no valid websocket handshake (RFC 6455, 4.2.1).")
        model = ctx.configuration.catalog.find(ctx.name)
        require_path(model, ctx.target)
        settings = ctx.configuration.settings
        lease = self._manager.visit(model, ctx.client)
        record.model, record.variant = model.name, lease.variant.label
        try:
            upstream = await lease.client.websocket(
                ctx.target,
                to_websocket(request.headers),
                protocols_of(request.headers),
                largest=settings.max_request_bytes,
                heartbeat=settings.client_timeout,
                farewell=_FAREWELL,
            )
            async with upstream:
                chosen = (upstream.protocol,) if upstream.protocol else ()
                down = web.WebSocketResponse(
                    protocols=chosen,
                    timeout=_FAREWELL,
                    heartbeat=settings.client_timeout,
                    max_msg_size=settings.max_request_bytes,
                    # ``_relay`` closes it, after the engine's socket.
                    autoclose=False,
                )
                await ctx.response.upgrade(down)
                await self._relay(down, upstream, lease)
        finally:
            lease.leave()

    async def _relay(
        self, down: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse, lease: Lease
    ) -> None:
        tasks = TaskOwner("websocket")
        to_engine = tasks.spawn(_pump(down, upstream, _AWAY), "to engine")
        to_client = tasks.spawn(_pump(upstream, down, _BROKEN), "to client")
        gone = tasks.spawn(lease.engine.gone(None), "gone")
        closing = tasks.spawn(self._closing.wait(), "closing")
        end = _End(_AWAY)
        try:
            await first_of(to_engine, to_client, gone, closing)
            if closing.done():
                end = _End(_AWAY, b"the gateway is shutting down")
            elif to_engine.done():
                end = to_engine.result()
            elif to_client.done():
                end = to_client.result()
            else:
                end = _End(_BROKEN, b"the engine has ended")
        finally:
            await tasks.cancel()
            await upstream.close(code=end.code, message=end.reason)
            await down.close(code=end.code, message=end.reason)


async def _pump(source: _Socket, sink: _Socket, lost: int) -> _End:
    """Pass messages on until ``source`` ends; return how ``sink`` is to end.

    ``lost`` is the code for a source that ends without a close message.
    """
    while True:
        message = await source.receive()
        try:
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            else:
                return _ending(source.close_code, message, lost)
        except ConnectionError:
            # The sink is closed. The other pump reads from it, and returns why.
            await asyncio.Event().wait()


def _ending(code: int | None, message: aiohttp.WSMessage, lost: int) -> _End:
    reason = message.extra if message.type is WSMsgType.CLOSE else None
    if code in (None, _LOST, _TLS):
        return _End(lost)
    if code in (0, _NO_CODE):
        return _End(_NORMAL)
    return _End(code or _NORMAL, (reason or "").encode())
