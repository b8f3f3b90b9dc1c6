"""HTTP itself: what cannot be parsed is refused in the same shape as everything else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from server.errors import as_json, shape_of
from utils.errors import BadRequest, GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage

_log = get_logger("http")
_SERVER_FAULT = 500


class _Silent(AbstractAccessLogger):
    """The gateway writes its own access line, which knows of models and tokens."""

    enabled = False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Nothing is written."""


class _Protocol(web.RequestHandler):
    """One connection; aiohttp calls ``handle_error`` where no handler has answered."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _SERVER_FAULT,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request's bytes
    ) -> web.StreamResponse:
        """The OpenAI-shaped answer to a broken request; the connection closes after it."""
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
            status=max(status, shape_of(error).status),
            body=as_json(error),
            content_type="application/json",
        )
        response.force_close()
        return response


# The authority of a request target in absolute form, which counts as a Host header does.
AUTHORITY = web.RequestKey("authority", tuple[str, ...])


class HttpServer(web.Server):
    """aiohttp's server beneath ``web.Application``: a few literal paths need no router.

    A handler is cancelled when its client leaves.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, request_factory=_request, handler_cancellation=True)

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return _Protocol(self, loop=asyncio.get_running_loop(), access_log_class=_Silent)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    request = web.BaseRequest(message, payload, protocol, writer, task, loop)
    if message.url.absolute:
        request[AUTHORITY] = (message.url.raw_authority,)
    return request
