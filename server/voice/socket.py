"""``VoiceSocket``: the websocket of one voice session, from its opening to its close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson
from aiohttp import WSMsgType, web

from server.exchange import of_aiohttp
from utils.errors import (
    BadRequest,
    GatewayError,
    InsufficientQuota,
    KeyRefused,
    NotPermitted,
    ShuttingDown,
)
from utils.tasks import TaskOwner, first_of
from voice.told import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from server.middleware import RequestContext
    from voice.session import Session
    from voice.told import Told

# Seconds to wait for the client's close message.
_FAREWELL = 2.0
LARGEST = 8 * 1024 * 1024
"""Bytes of a message."""
NORMAL, AWAY, POLICY, UNKNOWN = 1000, 1001, 1008, 4004
"""Codes: all is well; the gateway stops; the account may not go on; no such session, or expired."""
# After one of these, no further turn would be answered.
_FINAL = (InsufficientQuota, KeyRefused, NotPermitted)


class End(NamedTuple):
    """How a websocket is closed."""

    code: int
    reason: str = ""


class Talk(Protocol):
    """A protocol: what the client's messages do, and how it is told."""

    def take(self, message: str | bytes) -> bool:
        """Do what a message says; return False to end. BadRequest if it cannot be done."""
        ...

    def told(self, told: Told) -> Iterable[Any]:
        """Return the messages that say this."""
        ...


async def opened(ctx: RequestContext, protocols: Sequence[str] = ()) -> web.WebSocketResponse:
    """Open the websocket of a request; BadRequest if it is no valid handshake."""
    request = of_aiohttp(ctx.request)
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise BadRequest("The request is no valid websocket handshake (RFC 6455, 4.2.1).")
    socket = web.WebSocketResponse(
        protocols=protocols,
        timeout=_FAREWELL,
        heartbeat=ctx.configuration.settings.client_timeout,
        max_msg_size=LARGEST,
    )
    await ctx.response.upgrade(socket)
    return socket


class VoiceSocket:
    """Serves a session over an open websocket. ``close`` may be called at any time."""

    def __init__(self, socket: web.WebSocketResponse, session: Session, talk: Talk) -> None:
        self._socket = socket
        self._session = session
        self._talk = talk
        self._tasks = TaskOwner("voice socket")
        self._closing = asyncio.Event()
        self._end = End(NORMAL)

    def close(self, end: End) -> None:
        """End the session, and its websocket with this code."""
        self._end = end
        self._closing.set()

    async def serve(self, first: Iterable[Any], seconds: float) -> None:
        """Send the ``first`` messages, and serve for at most ``seconds``; return after the end."""
        reading = self._tasks.spawn(self._read(), "read")
        writing = self._tasks.spawn(self._write(first), "write")
        closing = self._tasks.spawn(self._closing.wait(), "closing")
        try:
            if not await first_of(reading, writing, closing, timeout=max(0.0, seconds)):
                self._end = End(UNKNOWN, "The session has expired.")
        finally:
            await self._tasks.cancel()
            await self._session.close()
            reason = self._end.reason.encode()[:120].decode(errors="ignore")
            await self._socket.close(code=self._end.code, message=reason.encode())

    async def _read(self) -> None:
        """Take messages until the client, or one of them, ends the session."""
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            try:
                if not self._talk.take(message.data):
                    return
            except GatewayError as error:
                self._session.tell(Problem(0, error))
            await self._session.outbox.room()

    async def _write(self, first: Iterable[Any]) -> None:
        """Send what the session tells, until the client has left or may not go on."""
        try:
            for message in first:
                await self._send(message)
            while True:
                told = await self._session.outbox.take()
                for message in self._talk.told(told):
                    await self._send(message)
                if isinstance(told, Problem) and isinstance(told.error, _FINAL):
                    self.close(End(POLICY, told.error.message))
        except ConnectionError:
            return

    async def _send(self, message: object) -> None:
        await self._socket.send_str(orjson.dumps(message).decode())


class VoiceSockets:
    """All open websockets of sessions."""

    def __init__(self) -> None:
        self._open: set[VoiceSocket] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, socket: VoiceSocket) -> None:
        """Add one; ShuttingDown if the gateway takes no more."""
        if self.closed:
            raise ShuttingDown("The gateway is shutting down.")
        self._open.add(socket)

    def remove(self, socket: VoiceSocket) -> None:
        """Forget one."""
        self._open.discard(socket)

    def close(self) -> None:
        """End all of them, as the gateway stops."""
        self.closed = True
        for socket in self._open:
            socket.close(End(AWAY, "The gateway is shutting down."))
