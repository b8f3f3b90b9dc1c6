"""A request of the fast lane, and its response; for their interface see server/exchange.py."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11
from multidict import CIMultiDict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from server.client_response import ClientResponse
    from server.lane import Lane
    from server.plain_request import PlainRequest

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}
_SERVER = f"Server: {SERVER_SOFTWARE}\r\n\r\n"
# Of a name and a value; no line of Python for each.
_line = "%s: %s\r\n".__mod__
_OK = 200
# Responses with these have no body (RFC 9110, 15.3.5 and 15.4.5).
_BODILESS = (204, 304)
_LAST_CHUNK = b"0\r\n\r\n"


class LaneRequest:
    """A plain request, whole."""

    __slots__ = (
        "_lane",
        "_sent_before",
        "answered",
        "content_length",
        "headers",
        "path",
        "prepared",
        "rel_url",
        "remote",
        "response",
        "whole",
    )

    method = "POST"
    version = HttpVersion11
    scheme = "http"
    authorities = ()

    def __init__(self, lane: Lane, plain: PlainRequest) -> None:
        self._lane = lane
        self._sent_before = lane.sent
        self.rel_url, self.headers, self.whole, _, self.prepared = plain
        self.path = self.rel_url.path
        self.content_length = len(plain.body)
        self.remote = lane.remote
        self.response: ClientResponse | None = None
        self.answered: LaneReply | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """The query, which is empty."""
        return self.rel_url.query

    @property
    def host(self) -> str:
        """The ``Host`` header."""
        return self.headers["Host"]

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None once it is lost."""
        return self._lane.transport

    @property
    def output_size(self) -> int:
        """Bytes of the response that were sent so far."""
        return self._lane.sent - self._sent_before

    def reply(self, status: int = _OK, body: bytes | None = None) -> LaneReply:
        """Return the response to this request: with this body, else in pieces."""
        self.answered = LaneReply(self._lane, status, body)
        return self.answered


class LaneReply:
    """The response to a request of the lane.

    The head is sent with the first bytes of the body, in one write, if they come at once.
    ``keeps``: the connection
    stays open after it. ``ended``: all of it was sent.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_head",
        "_lane",
        "_left",
        "content_length",
        "ended",
        "headers",
        "keeps",
        "status",
    )

    def __init__(self, lane: Lane, status: int, body: bytes | None) -> None:
        self._lane = lane
        self._body = body
        self.status = status
        # Of the body, if it is known.
        self.content_length = None if body is None else len(body)
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.keeps = lane.keeps
        self.ended = False
        self._head = b""
        self._chunked = False
        # Bytes of the body that are still to come, where its length was told.
        self._left: int | None = None

    def force_close(self) -> None:
        """Close the connection after this response."""
        self.keeps = False

    async def prepare(self, _request: object) -> None:
        """Make the head; it waits for the first bytes of the body."""
        headers, body = self.headers, self._body
        if self.status in _BODILESS:
            self._left, self._body = 0, None
            headers.pop("Content-Length", None)
        elif body is not None:
            self._left = 0
            headers["Content-Length"] = str(len(body))
        elif (length := headers.get("Content-Length")) is not None:
            self._left = int(length)
        else:
            self._chunked = True
            headers["Transfer-Encoding"] = "chunked"
        if self._left != 0 or self._body:
            headers.setdefault("Content-Type", "application/octet-stream")
        if not self.keeps:
            headers.setdefault("Connection", "close")
        lines = "".join(map(_line, headers.items()))
        if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
            raise ValueError("a header holds a line break")
        status = _STATUS_LINES.get(self.status) or f"HTTP/1.1 {self.status} \r\n"
        # Neither an engine's nor the gateway's own headers hold the last two.
        date = f"Date: {rfc822_formatted_time()}\r\n{_SERVER}"
        self._head = f"{status}{lines}{date}".encode("utf-8", "surrogateescape")
        if self._body is None:
            self._lane.loop.call_soon(self._send_head)

    def _send_head(self) -> None:
        """Send the head if no bytes have come meanwhile."""
        if self._head:
            head, self._head = self._head, b""
            with suppress(ConnectionError):  # who writes next is told
                self._lane.send(head)

    def put(self, data: bytes) -> bool:
        """Send a piece of the body now; return whether the client has room for more."""
        if not data:
            return not self._lane.blocked
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if self._head:
            data, self._head = self._head + data, b""
        return self._lane.send(data)

    def flow(self) -> Callable[[bytes], bool]:
        """Return what does the same as ``put`` for all further pieces, none of them empty.

        Of a piece of a stream little is left to decide: it is one call, and not three.
        """
        lane, transport = self._lane, self._lane.transport
        if not self._chunked or transport is None:
            return self.put
        write, is_closing = transport.write, transport.is_closing

        def put(data: bytes) -> bool:
            if is_closing():
                raise ConnectionResetError("the connection is closed")
            data = b"%x\r\n%b\r\n" % (len(data), data)
            if self._head:
                data, self._head = self._head + data, b""
            write(data)
            lane.sent += len(data)
            return not lane.blocked

        return put

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; return when the client has room for more."""
        if not self.put(data):
            await self._lane.drained()

    async def drained(self) -> None:
        """Return when the client has room for more."""
        await self._lane.drained()

    async def write_eof(self) -> None:
        """End the response; if its body is shorter than was told, cut the connection.

        Return when the client has room for more.
        """
        if self._left:
            self._lane.abort()
            return
        while not self.end_now():
            await self._lane.drained()
        if self._lane.blocked:
            await self._lane.drained()

    def end_now(self) -> bool:
        """End the response, unless its body is too short, or the client does not read."""
        if self._left or self._lane.blocked:
            return False
        if not self.ended:
            rest = _LAST_CHUNK if self._chunked else self._body or b""
            self._lane.send(self._head + rest)
            self.ended = True
        return True
