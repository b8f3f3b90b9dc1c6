"""Websockets to an engine, under ``/upstream/<model>/…``.

Each side has a websocket of its own, and messages pass whole: pings, compression and frames
are each connection's own business. An upgrade is a GET, so it never starts an engine and never
waits; but an open socket uses the engine as a request does, takes one of its places, and the
engine is not unloaded under it.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp import WSMsgType, web

from inference.in_flight import Ongoing
from server.access_log import AccessRecord
from server.client_key import client_of
from server.client_response import CARRIED, REQUEST_ID
from server.errors import shape_of
from server.headers import to_websocket
from server.telemetry import TELEMETRY
from utils.errors import BadRequest, RequestCancelled
from utils.tasks import TaskOwner, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.lease import Lease
    from engine.manager import EngineManager
    from server.configuration import Configuration
    from utils.clock import Clock

_PROTOCOL = "Sec-WebSocket-Protocol"
# How long, in seconds, the other side may take to agree that it is over.
_FAREWELL = 2.0
_NORMAL, _AWAY, _BROKEN = 1000, 1001, 1011
# These stand for the lack of a code and are never sent.
_NO_CODE, _LOST, _TLS = 1005, 1006, 1015

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class _Pieces:
    """Messages are no tokens, and none are counted."""

    chunks = 0


class _End(NamedTuple):
    """How a connection ends."""

    code: int
    reason: bytes = b""


def is_upgrade(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request asks for a websocket."""
    wanted = headers.get("Connection", "").lower().replace(" ", "").split(",")
    return (
        method == "GET"
        and "upgrade" in wanted
        and headers.get("Upgrade", "").lower() == "websocket"
    )


class WebSockets:
    """Connects clients with engines until either side, or the gateway, ends."""

    def __init__(self, manager: EngineManager, clock: Clock) -> None:
        self._manager = manager
        self._clock = clock
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Every socket is told that the gateway goes away."""
        self._closing.set()

    async def tunnel(
        self, request: web.BaseRequest, configuration: Configuration, name: str, path: str
    ) -> web.StreamResponse:
        """The websocket has been opened, used and closed.

        BadRequest, ModelNotLoaded, EngineBusy or EngineUnreachable when it is not opened.
        """
        offered = [word.strip() for word in request.headers.get(_PROTOCOL, "").split(",")]
        if not web.WebSocketResponse().can_prepare(request).ok:
            raise BadRequest("The request is no valid websocket handshake (RFC 6455, 4.2.1).")
        model = configuration.catalog.find(name)
        settings = configuration.settings
        record = AccessRecord(
            request.method,
            request.rel_url.raw_path,
            self._clock.now(),
            request[CARRIED][REQUEST_ID],
            client=client_of(request.headers, request.remote),
        )
        lease = self._manager.visit(model, record.client)
        record.model, record.variant = model.name, lease.variant.label
        try:
            upstream = await lease.client.websocket(
                path,
                to_websocket(request.headers),
                [word for word in offered if word],
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
                    # The other side is told first.
                    autoclose=False,
                )
                with _seen(request, record, self._clock) as ongoing:
                    await down.prepare(request)
                    record.status = down.status
                    with ongoing:
                        await self._relay(down, upstream, lease)
        finally:
            lease.leave()
        return down

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


@contextmanager
def _seen(request: web.BaseRequest, record: AccessRecord, clock: Clock) -> Iterator[Ongoing]:
    """Inside the block the socket is among the requests in flight; then one line is logged."""
    telemetry = request[TELEMETRY]
    ongoing = Ongoing(record, _Pieces())
    telemetry.began(ongoing)
    try:
        yield ongoing
    except RequestCancelled as error:
        # The socket has been closed for it: that is all that its client can be told.
        record.note, record.failed = type(error).__name__, shape_of(error).status
    finally:
        now = clock.now()
        record.write(now)
        telemetry.ended(ongoing, now)


async def _pump(source: _Socket, sink: _Socket, lost: int) -> _End:
    """Messages pass until ``source`` ends; how ``sink`` is to end. ``lost``: without a word."""
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
            # The other pump finds out why.
            await asyncio.Event().wait()


def _ending(code: int | None, message: aiohttp.WSMessage, lost: int) -> _End:
    reason = message.extra if message.type is WSMsgType.CLOSE else None
    if code in (None, _LOST, _TLS):
        return _End(lost)
    if code in (0, _NO_CODE):
        return _End(_NORMAL)
    return _End(code or _NORMAL, (reason or "").encode())
