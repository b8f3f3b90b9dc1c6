"""The frame around every request that an engine may answer: errors told, one line logged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from inference.in_flight import Ongoing
from server.access_log import AccessRecord
from server.client_response import CARRIED, REQUEST_ID, ClientResponse
from server.errors import shape_of
from server.telemetry import TELEMETRY
from utils.errors import BadRequest, GatewayError, RequestTooLarge
from utils.logger import get_logger

if TYPE_CHECKING:
    from utils.clock import Clock

_log = get_logger("handler")

Serve = Callable[[ClientResponse, AccessRecord], Awaitable[None]]


async def answered(
    request: web.BaseRequest,
    clock: Clock,
    patience: float,
    serve: Serve,
    path: str | None = None,
) -> web.StreamResponse:
    """The client has what ``serve`` wrote, or the error that it raised, and one line is logged.

    Meanwhile the request is among those in flight, and can be cancelled. ``path`` is the
    engine's, where the request's own is another.
    """
    telemetry = request[TELEMETRY]
    record = AccessRecord(
        request.method, request.rel_url.raw_path, clock.now(), request[CARRIED][REQUEST_ID]
    )
    down = ClientResponse(request, clock, patience, path)
    ongoing = Ongoing(record, down)
    telemetry.began(ongoing)
    try:
        async with down:
            await _told(down, record, serve, ongoing)
            await down.end()
        record.status = down.response.status
    except ConnectionError:
        record.note = "client left"
    finally:
        now = clock.now()
        record.write(now)
        telemetry.ended(ongoing, now)
    return down.response


async def _told(down: ClientResponse, record: AccessRecord, serve: Serve, ongoing: Ongoing) -> None:
    try:
        with ongoing:
            await serve(down, record)
    except GatewayError as error:
        record.note = type(error).__name__
        record.failed = shape_of(error).status
        await down.fail(error)
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - the outermost boundary: a fault of ours, told as one
        _log.exception("a request failed in the gateway itself")
        record.note = "internal error"
        failure = GatewayError("The gateway failed; its log says why.")
        record.failed = shape_of(failure).status
        await down.fail(failure)


async def read_body(request: web.BaseRequest, limit: int, patience: float) -> bytes:
    """The request's body; RequestTooLarge before more than ``limit`` bytes are in memory.

    BadRequest when nothing of it came for ``patience`` seconds.
    """
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    await ask_for_body(request)
    content = request.content
    pieces: list[bytes] = []
    size = 0
    try:
        while not content.at_eof():
            if content.is_eof():  # all of it is here, as with most requests: no clock is needed
                pieces.append(content.read_nowait())
            else:
                async with asyncio.timeout(patience):
                    pieces.append(await content.readany())
            size += len(pieces[-1])
            if size > limit:
                raise too_large(limit)
    except TimeoutError:
        raise BadRequest("The request body stopped coming before its end.") from None
    except web.RequestPayloadError:
        raise BadRequest("The request body ended early or is badly encoded.") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def ask_for_body(request: web.BaseRequest) -> None:
    """A client that waits for a word before it sends its body, as curl does, has got it."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def too_large(limit: int) -> RequestTooLarge:
    """The refusal of a body that exceeds ``limit`` bytes."""
    return RequestTooLarge(f"The request body exceeds {limit} bytes (server.max_request_bytes).")
