"""A request and its response, as the middleware and the handlers see them.

There are two kinds: those of aiohttp, which are here, and those of the fast lane, see
server/lane_exchange.py. Both have the members of ``Request`` and ``Reply``, whose names are
aiohttp's. Forms, websockets and bodies in pieces need more; those come through aiohttp alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from aiohttp.http import StreamWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    from server.client_response import ClientResponse
    from server.configuration import Configuration
    from server.routes import Route


class Prepared:
    """What was made of a head, for all requests that have the same.

    ``headers`` are those for an engine, by the form in which they were wanted. ``found`` are the
    configuration under which the head was found good, its route, and the engine's path.
    """

    __slots__ = ("found", "headers")

    def __init__(self) -> None:
        self.headers: dict[tuple[str | None, bool, bool, bool], Mapping[str, str]] = {}
        self.found: tuple[Configuration, Route, str] | None = None


class Reply(Protocol):
    """The response to one request: its status, headers and body as they go to the client.

    A method raises ConnectionError if the client has left.
    """

    @property
    def status(self) -> int:
        """The status."""
        ...

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers, which may be changed until ``prepare``."""
        ...

    @property
    def content_length(self) -> int | None:
        """The length of the body, if it is known."""
        ...

    def force_close(self) -> None:
        """Close the connection after this response."""

    async def prepare(self, request: Any) -> Any:  # noqa: ANN401 - aiohttp's own types differ
        """Begin the response to ``request``: no header can be changed any more."""

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; return when the client has room for more."""

    async def write_eof(self) -> None:
        """End the response."""


class DirectReply(Reply, Protocol):
    """A response that can also be sent without waiting."""

    def put(self, data: bytes) -> bool:
        """Send a piece of the body now; return whether the client has room for more."""
        ...

    def flow(self) -> Callable[[bytes], bool]:
        """Return what does the same as ``put`` for further pieces, at less cost if it can."""
        ...

    async def drained(self) -> None:
        """Return when the client has room for more."""

    def end_now(self) -> bool:
        """End the response, if that can be done without waiting; return whether it was."""
        ...


class Request(Protocol):
    """A request whose head has come.

    ``response`` is set by the middleware as soon as it has the request. ``authorities`` are the
    hosts that the request names beside its ``Host`` header. ``whole`` is the body if it came with
    the head; else it must be read, see server/uploads/body.py. ``prepared`` is shared by requests
    with the same head.
    """

    response: ClientResponse | None

    @property
    def method(self) -> str:
        """The method, as ``POST``."""
        ...

    @property
    def version(self) -> tuple[int, int]:
        """The version of HTTP, as ``(1, 1)``."""
        ...

    @property
    def rel_url(self) -> URL:
        """The target."""
        ...

    @property
    def path(self) -> str:
        """The path of the target, decoded."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """The query of the target."""
        ...

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        ...

    @property
    def host(self) -> str:
        """The ``Host`` header."""
        ...

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers."""
        ...

    @property
    def remote(self) -> str | None:
        """The client's address, if it has one."""
        ...

    @property
    def content_length(self) -> int | None:
        """The length of the body, if it was told."""
        ...

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None once it is lost."""
        ...

    @property
    def authorities(self) -> tuple[str, ...]:
        """The hosts that the target names."""
        ...

    @property
    def whole(self) -> bytes | None:
        """The body, if it came with the head."""
        ...

    @property
    def prepared(self) -> Prepared:
        """What was made of the head; what is added here may be there for another request."""
        ...

    @property
    def output_size(self) -> int:
        """Bytes of the response that were sent so far."""
        ...

    def reply(self, status: int = 200, body: bytes | None = None) -> DirectReply:
        """Return the response to this request: with this body, else in pieces."""
        ...


class AiohttpReply(web.StreamResponse):
    """aiohttp's response as a ``DirectReply``."""

    _direct: StreamWriter | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin the response to ``request``."""
        writer = await super().prepare(request)
        self._direct = writer if isinstance(writer, StreamWriter) else None
        return writer

    def put(self, data: bytes) -> bool:
        """Send a piece of the body now; return whether the client has room for more."""
        writer = self._direct
        if writer is None:
            raise RuntimeError("the response has not begun")
        step = writer.write(data, drain=False)
        try:
            step.send(None)
        except StopIteration:
            return not writer.protocol.writing_paused
        step.close()
        raise RuntimeError("aiohttp waits where it was asked not to")

    def flow(self) -> Callable[[bytes], bool]:
        """Return ``put``."""
        return self.put

    async def drained(self) -> None:
        """Return when the client has room for more."""
        if self._direct is None or self._direct.transport is None:
            raise ConnectionResetError("the client has left")
        await self._direct.drain()

    def end_now(self) -> bool:
        """Return False: aiohttp may wait."""
        return False


class _Whole(AiohttpReply, web.Response):
    """A response with a body."""


class AiohttpRequest(web.BaseRequest):
    """A request that aiohttp has read. ``answered`` is the last response that was made for it."""

    response: ClientResponse | None = None
    answered: web.StreamResponse | None = None
    whole: bytes | None = None

    @property
    def prepared(self) -> Prepared:
        """Nothing: it is not known which requests have the same head."""
        return Prepared()

    @classmethod
    def of(cls, other: web.BaseRequest) -> AiohttpRequest:
        """Return the same request, which another application of aiohttp has made."""
        loop = asyncio.get_running_loop()
        message, payload = other._message, other._payload  # noqa: SLF001 - of the base class
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("requests are made in tasks")
        return cls(message, payload, other.protocol, other.writer, task, loop)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The authority of a request target in absolute form, which counts as a Host header."""
        url = self._message.url
        return (url.raw_authority,) if url.absolute else ()

    @property
    def output_size(self) -> int:
        """Bytes of the response that were sent so far."""
        return self.writer.output_size

    def reply(self, status: int = 200, body: bytes | None = None) -> DirectReply:
        """Return the response to this request: with this body, else in pieces."""
        reply = AiohttpReply(status=status) if body is None else _Whole(status=status, body=body)
        self.answered = reply
        return reply


def of_aiohttp(request: Request) -> AiohttpRequest:
    """Return the request as aiohttp's, for what the lane does not do."""
    if not isinstance(request, AiohttpRequest):
        raise TypeError("only a request that aiohttp has read can do this")
    return request
