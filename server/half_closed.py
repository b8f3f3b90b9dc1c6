"""Clients that have closed their half of the connection: whether they still read.

A client may close its half of a connection and still read the answer. TCP does not tell this from
a client that has left. So the gateway asks: it writes ``100 Continue``, which a client skips (RFC
9110, 15.2.1), or a comment in an event stream that has begun. If the client has left, its system
answers with a reset. Where the gateway cannot ask, as with HTTP/1.0, the answer goes on as long as
something is written every second.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.exchange import Request

_HTTP_1_1 = (1, 1)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# When to look for a reset, in seconds between one look and the next, the last over and over.
_LOOKS = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)


class HalfClosed:
    """Asks a client that has closed its half, and aborts the connection if the client has left.

    ``under_way`` returns the request that is being answered. ``ask`` is the time in seconds from
    one question to the next; ``grace`` from one piece of the answer to the next, if the client
    cannot be asked. Both end with ``cancel``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        under_way: Callable[[], Request | None],
        ask: float,
        grace: float,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._under_way = under_way
        self._every = ask
        self._grace = grace
        self._look: asyncio.TimerHandle | None = None
        self._last: asyncio.TimerHandle | None = None
        self._ask()
        self._look_later(0, loop.time())

    def cancel(self) -> None:
        """Ask and look no more."""
        for timer in (self._look, self._last):
            if timer is not None:
                timer.cancel()

    def _look_later(self, number: int, asked_at: float) -> None:
        pause = _LOOKS[min(number, len(_LOOKS) - 1)]
        self._look = self._loop.call_later(pause, self._look_now, number, asked_at)

    def _look_now(self, number: int, asked_at: float) -> None:
        now = self._loop.time()
        sock = self._transport.get_extra_info("socket")
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
            return
        if now - asked_at >= self._every:
            asked_at = now
            self._ask()
        self._look_later(number + 1, asked_at)

    def _ask(self) -> None:
        request = self._under_way()
        if request is None:
            return
        response = request.response
        begun = response is not None and response.begun
        if begun or request.version < _HTTP_1_1:
            if response is None or not response.ask():
                self._give_up_later(request)
        else:
            self._transport.write(_CONTINUE)

    def _give_up_later(self, request: Request) -> None:
        size = request.output_size
        self._last = self._loop.call_later(self._grace, self._give_up, request, size)

    def _give_up(self, request: Request, size: int) -> None:
        if self._under_way() is not request:
            return
        if request.output_size == size:
            self._transport.abort()
        else:  # what was written asks as well
            self._give_up_later(request)
