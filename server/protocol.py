"""HTTP connections: how long one may be idle, how it ends, and what cannot be parsed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_parser import RawRequestMessage

from server.descriptors import Descriptors
from server.errors import as_json, as_response, shape_of
from server.exchange import AiohttpRequest
from server.half_closed import HalfClosed
from server.lane import Lane
from server.plain_request import NewestHead
from utils.errors import BadRequest, GatewayError, RequestTimeout, TooManyConnections
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter

    from server.exchange import Request

_log = get_logger("http")
_SERVER_FAULT = 500


class Limits(NamedTuple):
    """Times in seconds.

    ``head``: for the head of a request to come. ``idle``: for the next request to begin; longer
    than reverse proxies keep their connections (nginx 60), which must not be found closed.
    ``ask``: from one question to the next, to a client that has closed its half. ``grace``: from
    one piece of the answer to the next, if such a client cannot be asked. ``soon``: for the rest of
    a plain request to come, before aiohttp waits for it.
    """

    head: float = 10.0
    idle: float = 75.0
    ask: float = 5.0
    grace: float = 1.0
    soon: float = 0.05


LIMITS = Limits()


class Frame(Protocol):
    """What answers requests; see server/middleware.py."""

    async def answer(self, request: Request) -> None:
        """Answer the request. ConnectionError if the client has left."""

    def refused(self, method: str, path: str, error: GatewayError) -> dict[str, str]:
        """Log what was refused before it was a request; return the headers of the answer."""
        ...

    def left(self, method: str, path: str) -> None:
        """Log a request whose client left before ``answer`` was called."""


class _Silent(AbstractAccessLogger):
    """The gateway writes its own access line, which knows of models and tokens."""

    enabled = False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write nothing."""


class Connection(web.RequestHandler):
    """One connection of aiohttp. Its own fields are read, and none is written.

    ``taken_over``: it began as a lane.
    """

    def __init__(
        self, server: HttpServer, frame: Frame, limits: Limits, *, taken_over: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, keepalive_timeout=limits.idle, access_log_class=_Silent)
        self._frame = frame
        self._server = server
        self._limits = limits
        self._taken_over = taken_over
        # The request under way.
        self.request: AiohttpRequest | None = None
        self.idle_since = loop.time()
        self._head_due: asyncio.TimerHandle | None = None
        self._head_begun = False
        self._half_closed: HalfClosed | None = None

    @property
    def idle(self) -> bool:
        """Whether the connection waits for a request, or for the rest of its head."""
        waiter = self._waiter
        if waiter is None:  # or has not begun to
            return self._request_count == 0
        return not waiter.done()

    # -- what the transport calls ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless descriptors are too short for one more connection."""
        super().connection_made(transport)
        self._head_due = self._loop.call_later(self._limits.head, self._head_late)
        if not self._taken_over:
            self._server.made(self, transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; the head of a request must be complete in time."""
        parsed = self._request_count
        super().data_received(data)
        if self._request_count != parsed:
            self._head_begun = False
            if self._head_due is not None:
                self._head_due.cancel()
                self._head_due = None
        elif self.idle:
            self._head_begun = True
            if self._head_due is None:
                self._head_due = self._loop.call_later(self._limits.head, self._head_late)

    def eof_received(self) -> bool | None:  # type: ignore[override] # asyncio's own type
        """Keep the connection for the answer where a request is under way, else close it."""
        if self._half_closed is not None:
            return True
        if (
            self.transport is None
            # TLS has no half that is closed.
            or self.transport.get_extra_info("sslcontext") is not None
            or self.idle
            or self._payload_parser is not None
            or not self._is_whole()
        ):
            return None
        ask, grace = self._limits.ask, self._limits.grace
        self._half_closed = HalfClosed(self._loop, self.transport, lambda: self.request, ask, grace)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the request under way, and log those whose answer has not begun."""
        for timer in (self._head_due, self._half_closed):
            if timer is not None:
                timer.cancel()
        unanswered = list(self._unanswered())
        super().connection_lost(exc)
        for method, path in unanswered:
            self._frame.left(method, path)

    # -- what aiohttp calls ------------------------------------------------------------

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of the response; the connection is idle then, or closes."""
        finished = await super().finish_response(request, resp, start_time)
        self.idle_since = self._loop.time()
        self.request = None
        # aiohttp keeps the request until the next: its engine need not be kept as long.
        if isinstance(request, AiohttpRequest):
            request.response = None
        if self._half_closed is not None and not self._messages:
            self.close()
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _SERVER_FAULT,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request's bytes
    ) -> web.StreamResponse:
        """Return the OpenAI-shaped answer to a broken request; the connection closes after it."""
        self.request = None  # seen
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        error: GatewayError
        if status < _SERVER_FAULT:
            error = BadRequest("The request is not valid HTTP.")
            _log.info("refused what is not valid HTTP: %s", type(exc).__name__)
        else:
            error = GatewayError("The gateway failed; its log says why.")
            _log.error("a request failed in the gateway itself", exc_info=exc)
        response = web.Response(
            status=shape_of(error).status,
            headers=self._frame.refused("-", "-", error),
            body=as_json(error),
            content_type="application/json",
        )
        response.force_close()
        return response

    # -- idle connections --------------------------------------------------------------

    def refuse(self, error: GatewayError) -> None:
        """Tell the client ``error`` instead of reading a request, and close the connection."""
        if self.transport is None:
            return
        self.transport.write(as_response(error, self._frame.refused("-", "-", error)))
        self.force_close()

    def _head_late(self) -> None:
        self._head_due = None
        if not self.idle:
            return
        if self._head_begun:
            self.refuse(RequestTimeout("The head of the request did not come in time."))
        else:
            self.force_close()

    # -- a client that has closed its half ---------------------------------------------

    def _is_whole(self) -> bool:
        """Return whether all that the client began to send has come."""
        contents = [payload for _, payload in self._messages]
        if self.request is not None:
            contents.append(self.request.content)
        return all(content.is_eof() for content in contents)

    def _unanswered(self) -> Iterator[tuple[str, str]]:
        """Yield method and path of requests that have come and the middleware has not seen."""
        request = self.request
        if request is not None and request.response is None:
            yield request.method, request.rel_url.raw_path
        for message, _ in self._messages:
            if isinstance(message, RawRequestMessage):
                yield message.method, message.url.raw_path


class HttpServer(web.Server):
    """aiohttp's server beneath ``web.Application``: a few literal paths need no router.

    A handler is cancelled when its client leaves. ``fast`` is asked for each new connection
    whether it begins as a lane, see server/lane.py.
    """

    def __init__(
        self,
        frame: Frame,
        limits: Limits = LIMITS,
        descriptors: Descriptors | None = None,
        *,
        fast: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(self._answer, request_factory=_request, handler_cancellation=True)
        self.lanes: set[Lane] = set()
        self.newest = NewestHead()
        # Bytes of requests that lanes wait for.
        self.held = 0
        self._frame = frame
        self._limits = limits
        self._descriptors = descriptors or Descriptors()
        self._fast = fast

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        if self._fast():
            # The caller needs no more than a protocol, though aiohttp promises its own.
            lane: object = Lane(self, self._frame, self._limits, self._loop)
            return cast("web.RequestHandler", lane)
        return Connection(self, self._frame, self._limits)

    def taken_over(self) -> Connection:
        """Return the protocol that a lane's connection gets."""
        return Connection(self, self._frame, self._limits, taken_over=True)

    def pre_shutdown(self) -> None:
        """Close what is idle, and the rest after the request under way."""
        super().pre_shutdown()
        for lane in tuple(self.lanes):
            lane.close()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """Wait for the requests under way, and close every connection."""
        lanes = [lane.shutdown(timeout or 0) for lane in self.lanes]
        await asyncio.gather(super().shutdown(timeout), *lanes)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response, which the client has; or what is left of it if the client left."""
        asked = request if isinstance(request, AiohttpRequest) else AiohttpRequest.of(request)
        await self._frame.answer(asked)
        return asked.answered or web.StreamResponse()

    def made(self, connection: Connection | Lane, transport: asyncio.BaseTransport) -> None:
        """Close idle connections, the longest idle first, where ``connection`` makes them too many.

        Where none is idle and descriptors are needed for engines, ``connection`` is refused.
        """
        descriptor = transport.get_extra_info("socket").fileno()
        if descriptor < self._descriptors.short_from:
            return
        others = [each for each in self.connections if isinstance(each, Connection)]
        every: list[Connection | Lane] = [*others, *self.lanes]
        idle = sorted(
            (each for each in every if each is not connection and each.idle),
            key=lambda each: each.idle_since,
        )
        # Several at once, so that not every new connection has to search.
        closed = idle[: max(1, len(idle) // 8)]
        for each in closed:
            each.force_close()
        if closed:
            self._descriptors.tell(descriptor, len(closed))
        elif self._descriptors.exhausted(descriptor):
            self._descriptors.tell(descriptor, 0)
            connection.refuse(
                TooManyConnections("Too many connections are in use; the gateway's log says more.")
            )


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> AiohttpRequest:
    loop = asyncio.get_running_loop()
    request = AiohttpRequest(message, payload, protocol, writer, task, loop)
    if isinstance(protocol, Connection):
        protocol.request = request
    return request
