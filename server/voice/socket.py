"""``VoiceSocket``: the websocket of one voice session, from its opening to its close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson
from aiohttp import WebSocketError, WSMsgType, web

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
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from server.middleware import RequestContext
    from voice.live.sent import Sent
    from voice.session import Session
    from voice.told import Told

# Seconds to wait for the client's close message.
_FAREWELL = 2.0
LARGEST = 8 * 1024 * 1024
"""Bytes of a message."""
NORMAL, AWAY, POLICY, REPLACED, UNKNOWN = 1000, 1001, 1008, 4001, 4004
"""Codes: all is well; the gateway stops; the account may not go on; the session goes on by another
websocket; no such session, or expired."""
_SAID = (WSMsgType.TEXT, WSMsgType.BINARY)
# After one of these, no further turn would be answered.
_FINAL = (InsufficientQuota, KeyRefused, NotPermitted)


class End(NamedTuple):
    """How a websocket is closed."""

    code: int
    reason: str = ""


EXPIRED = End(UNKNOWN, "The session has expired.")


class Talk(Protocol):
    """A protocol: what the client's messages do, and how it is told."""

    async def take(self, message: str | bytes) -> bool:
        """Do what a message says; return False to end. BadRequest if it cannot be done."""
        ...

    def told(self, told: Told) -> Iterable[Any]:
        """Return the messages that say this."""
        ...


def has_left(ctx: RequestContext) -> bool:
    """Return whether the connection of a request is closed."""
    transport = of_aiohttp(ctx.request).transport
    return transport is None or transport.is_closing()


async def opened(ctx: RequestContext, protocols: Sequence[str] = ()) -> web.WebSocketResponse:
    """Open the websocket of a request; BadRequest if it is no valid handshake."""
    request = of_aiohttp(ctx.request)
    if not web.WebSocketResponse(protocols=protocols).can_prepare(request).ok:
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
    """Serves a session over an open websocket. ``close`` may be called at any time.

    With ``sent``, which notes the messages, the session goes on after the connection was lost:
    then ``lost`` is True. ``gone`` tells whether the client's connection is closed. ``ended`` is
    set once the session is free of it.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        session: Session,
        talk: Talk,
        sent: Sent | None = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._socket = socket
        self._session = session
        self._talk = talk
        self._sent = sent
        self._gone = gone
        self._tasks = TaskOwner("voice socket")
        self._closing = asyncio.Event()
        self._end = End(NORMAL)
        # Whether the client or the time has ended the session; whether the connection broke.
        self._over = self._broken = False
        # Until it serves, the session has lost nothing by it.
        self.lost = sent is not None
        self.ended = asyncio.Event()

    def close(self, end: End) -> None:
        """End the session, and its websocket with this code."""
        self._end = end
        self._closing.set()

    async def serve(self, first: Iterable[Any]) -> None:
        """Send the ``first`` messages, and serve; return after the end.

        Messages that are texts are sent as they are.
        """
        reading = self._tasks.spawn(self._read(), "read")
        writing = self._tasks.spawn(self._write(first), "write")
        closing = self._tasks.spawn(self._closing.wait(), "closing")
        try:
            await first_of(reading, writing, closing)
        finally:
            self.lost = self._sent is not None and self._is_lost()
            try:
                await self._tasks.cancel()
                if not self.lost:
                    await self._session.close()
                # Another websocket need not wait for the farewell.
                self.ended.set()
                reason = self._end.reason.encode()[:120].decode(errors="ignore")
                await self._socket.close(code=self._end.code, message=reason.encode())
            finally:
                self.ended.set()

    def _is_lost(self) -> bool:
        """Return whether the connection ended without a word of the client or the gateway."""
        if self._closing.is_set():
            return self._end.code == REPLACED
        return not self._over and (self._broken or self._gone())

    async def _read(self) -> None:
        """Take messages until the client, or one of them, ends the session."""
        while (message := await self._socket.receive()).type in _SAID:
            try:
                if not await self._talk.take(message.data):
                    self._over = True
                    return
            except GatewayError as error:
                self._session.tell(Problem(0, error))
            if self._sent is not None:
                self._sent.taken += 1
            await self._session.listened()
            await self._session.outbox.room()
        # What breaks the rules of websockets, or is too large, has been said, too.
        said = message.type is WSMsgType.CLOSE and message.data != REPLACED
        said = said or isinstance(message.data, WebSocketError)
        self._over, self._broken = said, not said

    async def _write(self, first: Iterable[Any]) -> None:
        """Send what the session tells, until the client has left or may not go on."""
        try:
            for message in first:
                await self._socket.send_str(_written(message))
            while True:
                told = await self._session.outbox.take()
                messages = [_written(message) for message in self._talk.told(told)]
                if self._sent is not None:
                    for message in messages:
                        self._sent.add(message)
                for message in messages:
                    await self._socket.send_str(message)
                if isinstance(told, Problem) and isinstance(told.error, _FINAL):
                    self.close(End(POLICY, told.error.message))
        except ConnectionError:
            self._broken = True


def _written(message: object) -> str:
    return message if isinstance(message, str) else orjson.dumps(message).decode()


class Closable(Protocol):
    """A session's websocket, or a session that may have none for a while."""

    def close(self, end: End) -> None:
        """End the session."""
        ...


class VoiceSockets:
    """All sessions, by what closes them."""

    def __init__(self) -> None:
        self._open: set[Closable] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, socket: Closable) -> None:
        """Add one; ShuttingDown if the gateway takes no more."""
        if self.closed:
            raise ShuttingDown("The gateway is shutting down.")
        self._open.add(socket)

    def remove(self, socket: Closable) -> None:
        """Forget one."""
        self._open.discard(socket)

    def close(self) -> None:
        """End all of them, as the gateway stops."""
        self.closed = True
        for socket in self._open:
            socket.close(End(AWAY, "The gateway is shutting down."))
