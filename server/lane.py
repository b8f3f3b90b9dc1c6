"""The fast lane: plain requests to models, without aiohttp between the socket and the middleware.

Each connection begins here. It stays as long as the requests that come are plain, whole and one
after the other, see server/plain_request.py. With the first bytes that are anything else, and with
a request that takes its time to come, the connection is aiohttp's for good.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from aiohttp.tcp_helpers import tcp_keepalive

from server.errors import as_response
from server.half_closed import HalfClosed
from server.lane_exchange import LaneRequest
from server.plain_request import NotPlain, PlainRequestParser
from utils.errors import GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from server.protocol import Frame, HttpServer, Limits

_log = get_logger("http")
# Bytes. All lanes together hold no more of bodies that are not whole; a lane holds no more, but for
# one read, of what follows the request under way.
HELD = 16 * 1024 * 1024
FOLLOWING = 64 * 1024


class Lane(asyncio.Protocol):
    """One connection, until aiohttp has it.

    ``sent`` are the bytes that were written; ``blocked``: the client does not read them;
    ``keeps``: the client of the present request wants to keep the connection. ``idle_since`` is
    in seconds of the loop's time.
    """

    def __init__(
        self,
        server: HttpServer,
        frame: Frame,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.remote: str | None = None
        self.sent = 0
        self.blocked = False
        self.keeps = True
        self.idle_since = loop.time()
        self._server = server
        self._frame = frame
        self._limits = limits
        self.loop = loop
        self._parser = PlainRequestParser(server.newest)
        # While a request is answered: the request, its task, and what came after it.
        self._request: LaneRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._next: list[bytes] = []
        self._size = 0
        # Bytes of a request that is not whole.
        self._held = 0
        self._late: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._limit = limits.head
        self._drained: asyncio.Future[None] | None = None
        self._half_closed: HalfClosed | None = None
        self._closing = False

    @property
    def idle(self) -> bool:
        """Whether the connection waits for a request, or for the rest of its head."""
        return self._request is None and self._parser.path is None

    # -- what the transport calls ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless descriptors are too short for one more connection."""
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if isinstance(peer, (list, tuple)) else None
        tcp_keepalive(self.transport)
        self._server.lanes.add(self)
        soonest = min(self._limits.head, self._limits.idle)
        self._watch = self.loop.call_later(soonest, self._look)
        self._server.made(self, transport)

    def data_received(self, data: bytes) -> None:
        """Answer the request that ``data`` completes; keep what follows it for later."""
        if self._closing:
            return
        if self._request is not None:
            self._next.append(data)
            self._size += len(data)
            if self._size > FOLLOWING and self.transport is not None:
                self.transport.pause_reading()
            return
        try:
            plain = self._parser.feed(data)
        except NotPlain:
            self._hand_over()
            return
        if plain is None:
            self._hold(len(data))
            return
        if self._late is not None:
            self._late.cancel()
            self._late = None
            self._release()
        self.keeps = plain.keeps
        self._request = request = LaneRequest(self, plain)
        # Owned by this connection, which cancels it; every failure of it is logged.
        self._task = self.loop.create_task(self._answer(request), name="lane")

    def _hold(self, size: int) -> None:
        """Wait for the rest of a request, unless all lanes hold too much already."""
        self._held += size
        self._server.held += size
        if self._server.held > HELD:
            self._hand_over()
        elif self._late is None:
            self._late = self.loop.call_later(self._limits.soon, self._hand_over)

    def _release(self) -> None:
        self._server.held -= self._held
        self._held = 0

    def eof_received(self) -> bool | None:
        """Keep the connection for the answer where a request is under way, else close it."""
        if self._half_closed is not None:
            return True
        if self.transport is None:
            return None
        if self._request is None:
            return self._hand_over().eof_received() if self._parser.begun else None
        ask, grace = self._limits.ask, self._limits.grace
        self._half_closed = HalfClosed(self.loop, self.transport, lambda: self._request, ask, grace)
        return True

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self.blocked = True

    def resume_writing(self) -> None:
        """Let those go on who wait for the client to read."""
        self.blocked = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel the request under way, and log those whose answer has not begun."""
        self.transport = None
        self._forget()
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError("the connection is lost"))
            self._drained.exception()  # seen, if nobody waits
        request, path = self._request, self._parser.path
        if self._next:
            path = self._queued()
        if request is not None and self._task is not None:
            if request.response is None:
                self._frame.left(request.method, request.path)
            self._task.cancel()
        if path is not None:
            self._frame.left("POST", path)

    def _queued(self) -> str | None:
        """Return the path of the plain request that waits behind the one under way, if any."""
        try:
            plain = self._parser.feed(b"".join(self._next))
        except NotPlain:
            plain = None
        return self._parser.path if plain is None else plain.url.path

    # -- what the response calls -------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """Write to the client; return whether it has room for more."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        transport.write(data)
        self.sent += len(data)
        return not self.blocked

    async def drained(self) -> None:
        """Return when the client has room for more; ConnectionError if it has left."""
        if self.transport is None:
            raise ConnectionResetError("the connection is closed")
        if self.blocked:
            if self._drained is None:
                self._drained = self.loop.create_future()
            # A comment may wait beside a chunk.
            await asyncio.shield(self._drained)

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()

    # -- one request -------------------------------------------------------------------

    async def _answer(self, request: LaneRequest) -> None:
        try:
            await self._frame.answer(request)
        except ConnectionError:
            pass
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a fault of ours, told as one
            _log.exception("a request failed in the gateway itself", exc_info=error)
            if not request.output_size:
                self.refuse(GatewayError("The gateway failed; its log says why."))
        finally:
            reply, self._request, self._task = request.answered, None, None
            # The response and the request know each other; they must not wait for the collector.
            request.response = request.answered = None
            self._go_on(keeps=reply is not None and reply.ended and reply.keeps)

    def _go_on(self, *, keeps: bool) -> None:
        """Take the next request, or close the connection."""
        transport = self.transport
        if transport is None:
            return
        following, self._next, self._size = self._next, [], 0
        if not keeps or self._closing or (self._half_closed is not None and not following):
            self.force_close()
            return
        self.idle_since, self._limit = self.loop.time(), self._limits.idle
        if following:
            transport.resume_reading()
            for data in following:
                # It may be aiohttp's by now.
                cast("asyncio.Protocol", transport.get_protocol()).data_received(data)
            if self._half_closed is not None and self._parser.begun and self.transport:
                self._hand_over()  # the rest will not come

    # -- its end -----------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection when the request under way, if any, is answered."""
        self._closing = True
        if self._request is None:
            self.force_close()

    def force_close(self) -> None:
        """Close the connection when what was written is sent."""
        self._closing = True
        if self.transport is not None:
            self.transport.close()

    def refuse(self, error: GatewayError) -> None:
        """Tell the client ``error`` instead of reading a request, and close the connection."""
        if self.transport is not None:
            self.transport.write(as_response(error, self._frame.refused("-", "-", error)))
        self.force_close()

    async def shutdown(self, timeout: float) -> None:  # noqa: ASYNC109 - as in aiohttp
        """Wait for the request under way, cancel it after ``timeout`` seconds, and close."""
        self.close()
        for _ in range(2):
            if (task := self._task) is not None:
                await asyncio.wait((task,), timeout=timeout)
                task.cancel()
        self.force_close()

    def _look(self) -> None:
        """Close the connection if it was idle for too long."""
        now, due = self.loop.time(), self.idle_since + self._limit
        if self._request is not None:
            due = now + self._limits.idle
        elif now >= due:
            self.force_close()
            return
        self._watch = self.loop.call_at(due, self._look)

    def _hand_over(self) -> asyncio.Protocol:
        """Give the connection, with all that has come, to aiohttp; return its protocol.

        It gets the bytes in the same pieces: if it refuses one, it forgets what it has parsed of
        that piece, but not what came before.
        """
        taken, transport = self._parser.taken(), self.transport
        self._forget()
        self.transport = None
        connection = self._server.taken_over()
        if transport is not None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            if self.blocked:
                connection.pause_writing()
            for data in taken:
                connection.data_received(data)
            if self._half_closed is not None and not connection.eof_received():
                transport.close()
        return connection

    def _forget(self) -> None:
        self._closing = True
        self._server.lanes.discard(self)
        self._release()
        for timer in (self._late, self._watch, self._half_closed):
            if timer is not None:
                timer.cancel()
