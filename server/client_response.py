"""The client's side of one request: a response that begins late and is never silent.

Until something is written the answer may still be any status. A streaming client that
has waited for ``interval`` seconds gets the headers of a stream and an SSE comment, and
from then on a failure can only be told as an event (WHATWG HTML, 9.2.6: lines that
begin with a colon are ignored by the reader).
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Self

from inference.call import Outlet
from server.dialects import OPENAI, Page, dialect_of
from server.errors import is_error, retry_after, shape_of
from server.exchange import of_aiohttp
from server.headers import add, to_client
from utils.errors import (
    EngineRefused,
    GatewayError,
    NotAuthenticated,
    RequestCancelled,
    WrongMethod,
)
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from server.dialects import Dialect
    from server.exchange import DirectReply, Reply, Request
    from utils.clock import Clock, Timer

REQUEST_ID = "X-Request-Id"
STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
# Of events, and of lines; lines have no comments.
_STREAMS = ("text/event-stream", "application/x-ndjson")
LINES_HEADERS = {**STREAM_HEADERS, "Content-Type": _STREAMS[1]}
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_OF_BODY = ("content-length", "content-type")
_OK = 200
# Bytes of an error page that are repeated in a message.
_SHOWN = 200
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
# As long as no comments are written.
_NO_LOCK = nullcontext()
# So little fits into the socket's buffer, whether the client reads or not.
_SMALL = 16 * 1024


class ClientResponse:
    """Writes one response; leave the block when it has ended.

    ``carried`` are headers that the response has whatever it is. The path decides in which
    dialect failures are told: the request's own unless ``speak`` names another. ``status`` is that
    of the response, once it has begun.
    """

    def __init__(
        self,
        request: Request,
        clock: Clock,
        patience: float = 60.0,
        carried: dict[str, str] | None = None,
    ) -> None:
        self._response: Reply | None = None
        # The same, unless another protocol has the connection.
        self._direct: DirectReply | None = None
        # Why nothing could be put any more.
        self._left: ConnectionError | None = None
        self.decided: dict[str, str] = {}
        self.status = _OK
        self.begun = False
        # Whether all of it is written.
        self.ended = False
        self._as_engine_says = False
        self.progress: Callable[[], str] | None = None
        self._told: dict[str, str] = {}
        self._carried = {} if carried is None else carried
        self._request = request
        # The engine's path decides in which API's shape failures are told.
        self._path = request.path
        self._ending: Callable[[GatewayError], bytes] | None = None
        self._clock = clock
        self._tasks: TaskOwner | None = None
        # Comments are written by another task. The lock is made with the first of them.
        self._lock: asyncio.Lock | None = None
        # The head is under way.
        self._beginning = False
        self._timer: Timer | None = None
        self._interval = 0.0
        self._idle: Callable[[], bytes] | None = None
        self._lines = False
        self._written_at = 0.0
        # Of what was written.
        self._last = b""
        self._cut = False
        # Nothing may be written any more.
        self._over = False
        self._patience = patience
        self._blocked_since: float | None = None
        self._watch: Timer | None = None

    @property
    def response(self) -> Reply:
        """The response, written or not yet: a stream unless ``answer`` made it a whole one."""
        if self._response is None:
            self._response = self._direct = self._request.reply()
        return self._response

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Write nothing more."""
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        if self._tasks is not None:
            await self._tasks.cancel()

    def carry(self, headers: Mapping[str, str]) -> None:
        """Add headers of the gateway's own to those that the response has whatever it is."""
        self._carried.update(headers)

    @property
    def dialect(self) -> Dialect:
        """The form in which failures are told."""
        return dialect_of(self._path, self._request.headers)

    def speak(self, path: str) -> None:
        """Tell failures as the clients of the engine's ``path`` expect them."""
        self._path = path

    def keep_pages(self) -> None:
        """Pass on error pages of the engine unchanged, unless its clients are Anthropic's."""
        self._as_engine_says = self.dialect is OPENAI

    def end_faults(self, ending: Callable[[GatewayError], bytes]) -> None:
        """Once a stream has begun, end it by a failure with what ``ending`` writes of that."""
        self._ending = ending

    async def upgrade(self, response: web.StreamResponse) -> None:
        """Send the head of ``response``; another protocol has the connection from then on."""
        self._response = of_aiohttp(self._request).answered = response
        add(response.headers, self._carried)
        self.status = response.status
        self.begun = self._cut = True
        await response.prepare(of_aiohttp(self._request))

    def ask(self) -> bool:
        """Write a comment now if the stream is between events: only one who reads can take it.

        Return whether there are comments in this response at all.
        """
        if self._timer is None:
            return False
        self._begin_comment()
        return True

    def keep_alive(
        self, interval: float, idle: Callable[[], bytes] | None = None, *, lines: bool = False
    ) -> None:
        """Send the client something at least every ``interval`` seconds, until the end.

        That is a comment, with what ``progress`` says of the waiting, and the event that ``idle``
        returns, if any. A stream of ``lines`` has no comments, but only what ``idle`` returns.
        """
        self._interval = interval
        self._idle = idle
        self._lines = lines
        self._written_at = self._clock.now()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(self._written_at + interval, self._beat)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers; in a stream that has begun, tell new decisions in a comment."""
        async with self._lock or _NO_LOCK:
            if self.begun:
                await self._correct()
                return
            reply = self._response
            if reply is None:
                reply = self._response = self._direct = self._request.reply(status)
            told = reply.headers
            told.extend(to_client(headers))
            told.update(self.decided)
            add(told, self._carried)
            if told.get("Content-Type", "").startswith(_STREAMS):
                told["X-Accel-Buffering"] = "no"
            self.status = status
            self.begun = self._beginning = True
            self._told = self.decided
            await reply.prepare(self._request)
            self._beginning = False

    async def _correct(self) -> None:
        """Send in a comment, which readers skip, what was decided since the headers left."""
        if self.decided == self._told or not self._has_comments:
            return
        self._told = self.decided
        lines = "".join(f": {name}: {value}\n" for name, value in self.decided.items())
        await self.write(f"{lines}\n".encode())

    async def write(self, chunk: bytes) -> None:
        """Send the chunk, unchanged and unbuffered."""
        if not self.put(chunk):
            await self.drained()

    def put(self, chunk: bytes) -> bool:
        """Send the chunk, unchanged, without waiting; return whether the client has room for more.

        If it has not, it is cut off if it reads nothing in time.
        """
        self._written_at = self._clock.now()
        self._last = chunk
        try:
            room = self._direct is not None and self._direct.put(chunk)
        except ConnectionError as error:
            self._left = error
            return False
        if not room:
            self._watch_out()
        return room

    def outlet(self) -> Outlet | None:
        """Return what does the same as ``put`` for the rest of a stream, at less cost.

        None where the response is not sent in pieces.
        """
        if self._direct is None or self._cut:
            return None
        put_now, now = self._direct.flow(), self._clock.now

        def put(chunk: bytes) -> bool:
            self._written_at = now()
            self._last = chunk
            try:
                if put_now(chunk):
                    return True
            except ConnectionError as error:
                self._left = error
                return False
            self._watch_out()
            return False

        return Outlet(put, self.drained)

    async def drained(self) -> None:
        """Return when the client has room; raise ConnectionError if it has left."""
        if self._left is not None:
            raise self._left
        if self._direct is not None:
            await self._direct.drained()
        self._blocked_since = None

    def _watch_out(self) -> float:
        """Return the time now, and cut the client off if the next write takes too long.

        It would keep an engine to itself otherwise.
        """
        now = self._blocked_since = self._clock.now()
        if self._watch is None:
            self._watch = self._clock.call_at(now + self._patience, self._look)
        return now

    def _look(self) -> None:
        now = self._clock.now()
        since = self._blocked_since
        if since is not None and now >= since + self._patience:
            self._abort()
            return
        self._watch = self._clock.call_at((since or now) + self._patience, self._look)

    async def fail(self, error: GatewayError) -> None:
        """Tell the client ``error``: as a response if there is none yet, else as an event."""
        if self.begun and self._ending is not None and self._is_stream:
            # The API's own end: the client knows by it that the answer has failed.
            self._over = True
            self._watch_out()
            await self.response.write(self._ending(error))
            return
        headers = {**_JSON, **error.headers}
        if (seconds := retry_after(error)) is not None:
            headers["Retry-After"] = str(seconds)
        if isinstance(error, WrongMethod):
            headers["Allow"] = ", ".join(error.allowed)
        if isinstance(error, RequestCancelled):
            # OpenAI's and Anthropic's clients would ask again otherwise, as after any 503.
            headers["X-Should-Retry"] = "false"
        if isinstance(error, NotAuthenticated):
            headers["WWW-Authenticate"] = 'Bearer realm="llm-gateway admin"'
        await self.answer(shape_of(error).status, headers, self.dialect.body(error))

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response; in a stream that has begun, an event that holds its body."""
        if not self.begun:
            # A response with a known body keeps the connection usable for the next request.
            self._response = self._direct = self._request.reply(status, body)
            await self.begin(status, headers)
        elif self._is_stream:
            self._over = True
            separator = b"" if self._between_events else b"\n\n"
            self._watch_out()
            await self.response.write(separator + self.dialect.event(body))
            # When a connection is cut, a browser drops what the page has not read yet: the page
            # would not learn why. Only browsers name an origin; ``end`` completes the stream.
            if "Origin" not in self._request.headers:
                self._close()
        else:
            # Half of a JSON body cannot be mended: cutting the connection is the honest end.
            self._abort()

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Pass on an engine's error page as this client understands it, if that must be done.

        False where it can be passed on like any answer. EngineRefused where a stream that has
        begun would have to carry a page that is no event.
        """
        page = Page(status, body) if self._as_engine_says else self.dialect.page(status, body)
        if self.begun:
            if not is_error(page.body):
                raise EngineRefused(f"The engine answered {status}: {_shown(body)}")
            await self.answer(page.status, {}, page.body)
        elif page.body != body:
            # Length and type are set anew, for the page as it is now.
            kept = {n: v for n, v in headers.items() if n.lower() not in _OF_BODY}
            await self.answer(page.status, kept | _JSON, page.body)
        else:
            return False
        return True

    async def end(self) -> None:
        """Complete the response. Does nothing if called again."""
        reply = self._response
        if reply is None or not self.begun or self._cut or self.ended:
            return
        # A comment after this would follow the end of the body.
        self._over = True
        direct, length = self._direct, reply.content_length
        small = length is None or length < _SMALL
        if not (small and direct is not None and direct.end_now()):
            self._watch_out()
            await reply.write_eof()
            self._blocked_since = None
        self.ended = True

    @property
    def _between_events(self) -> bool:
        ends = b"\n" if self._lines else _BLANK_LINES
        return not self._last or self._last.endswith(ends)

    @property
    def _is_stream(self) -> bool:
        return self.response.headers.get("Content-Type", "").startswith(_STREAMS)

    @property
    def _has_comments(self) -> bool:
        return self.response.headers.get("Content-Type", "").startswith(_STREAMS[0])

    def _close(self) -> None:
        # Without the last chunk: the client must not take the stream for complete, nor use the
        # connection again.
        self._cut = self._over = True
        self.response.force_close()
        if (transport := self._request.transport) is not None:
            transport.close()

    def _abort(self) -> None:
        self._cut = self._over = True
        if (transport := self._request.transport) is not None:
            transport.abort()

    def _beat(self) -> None:
        now = self._clock.now()
        due = self._written_at + self._interval
        if due <= now:
            due = now + self._interval
            if not self._over:
                self._begin_comment()
        self._timer = self._clock.call_at(due, self._beat)

    def _begin_comment(self) -> None:
        """Write a comment if the stream is between events, and nothing else is on its way."""
        if self._beginning:
            return
        if self._tasks is None:
            self._tasks, self._lock = TaskOwner("keepalive"), asyncio.Lock()
        if self._between_events and not len(self._tasks):
            self._tasks.spawn(self._comment(), "comment")

    async def _comment(self) -> None:
        self._written_at = self._clock.now()
        try:
            await self.begin(_OK, LINES_HEADERS if self._lines else STREAM_HEADERS)
            if not self._between_events or not self._is_stream or self._over:
                return
            idle = self._idle() if self._idle else b""
            if self._has_comments:
                said = self.progress() if self.progress else ""
                idle = f": keep-alive{said and ', '}{said}\n\n".encode() + idle
            await self.response.write(idle)
        except ConnectionError:
            # The client has left; aiohttp cancels the handler for it.
            return


def _shown(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
