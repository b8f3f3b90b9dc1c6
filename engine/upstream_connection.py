"""One connection to an engine: a request at a time, and its answer as it comes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from engine.response_parser import Progress, ResponseParser

if TYPE_CHECKING:
    from collections.abc import Callable

# So many bytes of an answer may wait for their reader.
_WAITING = 256 * 1024
_LOST = "Server disconnected"
_BODY, _ENDED = Progress.BODY, Progress.ENDED


class UpstreamConnection(asyncio.Protocol):
    """A connection with at most one request under way.

    ``status`` and ``headers`` are those of an answer that has ``begun``.

    ``send``, ``begun``, then ``read`` or ``pump`` up to the end, then ``close``. What goes wrong is
    an OSError. ``release`` gets a connection that can be used again, ``forget`` one that is lost.
    """

    __slots__ = (
        "_error",
        "_forget",
        "_held",
        "_loop",
        "_parser",
        "_paused",
        "_pieces",
        "_release",
        "_take",
        "_transport",
        "_unread",
        "_waiter",
        "headers",
        "idle_since",
        "status",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        release: Callable[[UpstreamConnection], None],
        forget: Callable[[UpstreamConnection], None],
    ) -> None:
        self._loop = loop
        self._release = release
        self._forget = forget
        self._parser = ResponseParser()
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None
        # What has come and was not read, and its length.
        self._pieces: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        # Who gets what comes at once; whether it wanted no more.
        self._take: Callable[[bytes], bool] | None = None
        self._held = False
        self.status = 0
        self.headers = self._parser.headers
        # Seconds of a monotonic clock; None while a request is under way.
        self.idle_since: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer has come to its end, read or not."""
        return self._parser.progress is _ENDED

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as this side knows."""
        return self._transport is not None and not self._transport.is_closing()

    # -- what the transport calls ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the system notices when an engine on another machine vanishes."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Hand over what has come of the body, or keep it for its reader."""
        parser, take = self._parser, self._take
        if piece := parser.feed(data):
            if take is None:
                self._pieces.append(piece)
                self._unread += len(piece)
                if self._unread > _WAITING:
                    self._pause()
            elif not take(piece):
                self._take = None
                self._held = True
                self._pause()
                self._wake()
        if parser.progress is not _BODY:
            self._turn()
        elif take is None and not parser.brief:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer if nothing else shows its end, else fail it."""
        self._transport = None
        self._forget(self)
        if exc is None:
            self._parser.end()
            self._turn()
        else:
            self.fail(exc)
        self._parser.close()

    # -- one request -------------------------------------------------------------------

    def send(self, request: bytes) -> None:
        """Send a request. What comes from now on is its answer."""
        self.idle_since = None
        self._parser.begin()
        if self._transport is None:
            raise ConnectionError(_LOST)
        self._transport.write(request)

    async def begun(self) -> None:
        """Return when the head of the answer is here, and with it a brief body: one wake-up."""
        parser = self._parser
        while self._error is None:
            progress = parser.progress
            if progress is _ENDED or (progress is _BODY and not parser.brief):
                self.status, self.headers = parser.status, parser.headers
                return
            await self._woken()
        raise self._error

    async def read(self) -> bytes:
        """Return all that has come and was not read, at least a byte; b"" at the end."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._parser.progress is _ENDED:
                return b""
            if self._paused:
                self._resume()
            await self._woken()
        return self._taken()

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give what comes to ``take`` where it arrives, until the end; return whether it has ended.

        It has not if ``take`` returned False. Then nothing is read until the next call.
        ``take`` must not raise.
        """
        if self._pieces and not take(self._taken()):
            return False
        if self._paused:
            self._resume()
        self._held = False
        self._take = take
        try:
            while not (self._held or self._parser.progress is _ENDED):
                if self._error is not None:
                    raise self._error
                await self._woken()
        finally:
            self._take = None
        return not self._held

    def fail(self, error: Exception) -> None:
        """Let the reader get ``error`` after what has come; nothing if the answer has ended."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    def close(self) -> None:
        """End the request: unless its answer has ended, the engine sees a closed connection."""
        transport = self._transport
        if transport is None:
            return
        reusable = self._error is None and self._parser.reusable and not transport.is_closing()
        # A request that is not sent to its end would go on in front of the next.
        if reusable and not transport.get_write_buffer_size():
            if self._pieces or self._paused:
                self._taken()
            self._release(self)
        else:
            transport.abort()

    def abort(self) -> None:
        """Close the connection at once; a reader gets an error."""
        self.fail(ConnectionError(_LOST))
        if self._transport is not None:
            self._transport.abort()

    # -- inside ------------------------------------------------------------------------

    def _turn(self) -> None:
        """Act on a head that is not complete, on an end, or on what is not HTTP."""
        progress = self._parser.progress
        if progress is Progress.BROKEN:
            self.fail(ConnectionError(self._parser.error))
            self.abort()
        elif self.idle_since is not None:
            # An engine that speaks unasked would do so in the next answer.
            self.abort()
        elif progress is _ENDED:
            self._wake()

    def _taken(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread = 0
        if self._paused:
            self._resume()
        return data

    def _pause(self) -> None:
        transport = self._transport
        if not self._paused and transport is not None and not transport.is_closing():
            self._paused = True
            transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _woken(self) -> asyncio.Future[None]:
        """Return what is done at the next ``_wake``; only one task waits at a time."""
        self._waiter = self._loop.create_future()
        return self._waiter
