"""Reading the bodies of requests, within limits of size, time and memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from server.exchange import of_aiohttp
from server.records.captures import CapturingResponse
from utils.errors import BadRequest, BodiesTooLarge, RequestTooLarge

if TYPE_CHECKING:
    from server.client_response import ClientResponse
    from server.exchange import AiohttpRequest
    from server.middleware import RequestContext

# So much of each body is not counted: small requests are answered however much large ones hold.
FREE = 64 * 1024


class BodyMemory:
    """Counts the bytes that all requests hold."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class Share:
    """What one request holds, until ``release``; all together hold no more than ``limit``."""

    __slots__ = ("_counted", "_limit", "_memory", "_size")

    def __init__(self, memory: BodyMemory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self._size = 0
        self._counted = 0

    def take(self, size: int) -> bool:
        """Hold ``size`` bytes more; return False, and change nothing, where they are too many."""
        more = max(0, self._size + size - FREE) - self._counted
        if more and self._memory.used + more > self._limit:
            return False
        self._size += size
        self._counted += more
        self._memory.used += more
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        self._memory.used -= self._counted
        self._size = self._counted = 0


async def read_body(ctx: RequestContext, limit: int | None = None) -> bytes:
    """Return the body; RequestTooLarge before more than ``limit`` bytes are in memory.

    ``limit`` is ``server.max_request_bytes`` unless given. BadRequest when no byte of it came
    for ``server.client_timeout`` seconds, BodiesTooLarge when the bodies of all requests take
    more than ``server.max_body_memory``.
    """
    request = ctx.request
    limit = ctx.configuration.settings.max_request_bytes if limit is None else limit
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    if (whole := request.whole) is None:
        return await _read(ctx, of_aiohttp(request), limit)
    if len(whole) > FREE and not ctx.take(len(whole)):
        raise bodies_too_large()
    return whole


async def _read(ctx: RequestContext, request: AiohttpRequest, limit: int) -> bytes:
    settings = ctx.configuration.settings
    await ask_for_body(request)
    content = request.content
    pieces: list[bytes] = []
    size = 0
    try:
        while not content.at_eof():
            if content.is_eof():  # all of it is here, as with most requests: no clock is needed
                pieces.append(content.read_nowait())
            else:
                async with asyncio.timeout(settings.client_timeout):
                    pieces.append(await content.readany())
            size += len(pieces[-1])
            if not ctx.take(len(pieces[-1])):
                raise bodies_too_large()
            if size > limit:
                raise too_large(limit)
    except TimeoutError:
        raise BadRequest("The request body stopped coming before its end.") from None
    except web.RequestPayloadError:
        raise BadRequest("The request body ended early or is badly encoded.") from None
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if settings.capture_budget:
        keep_asked(ctx.response, body)
    return body


def keep_asked(response: ClientResponse, body: bytes) -> None:
    """Let the response keep the request's body, if it is one that is captured."""
    if isinstance(response, CapturingResponse):
        response.asked = body


async def ask_for_body(request: web.BaseRequest) -> None:
    """Ask for the body where the client waits for that before it sends it, as curl does."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def bodies_too_large() -> BodiesTooLarge:
    """Return the refusal of a body for which all the others leave no memory."""
    return BodiesTooLarge(
        "The bodies of the requests under way fill their memory (server.max_body_memory)."
    )


def too_large(limit: int) -> RequestTooLarge:
    """Return the refusal of a body that exceeds ``limit`` bytes."""
    return RequestTooLarge(f"The request body exceeds {limit} bytes (server.max_request_bytes).")
