"""What a handler is given of one request, and where it writes the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson

from server.client_key import priority_of

if TYPE_CHECKING:
    from aiohttp import web

    from engine.scheduling.queue import Priority
    from server.access_log import AccessRecord
    from server.client_response import ClientResponse
    from server.configuration import Configuration
    from server.telemetry import Telemetry
    from server.uploads.body import Share

_JSON = {"Content-Type": "application/json; charset=utf-8"}


class RequestContext:
    """One request inside the frame of ``server/middleware.py``.

    ``configuration`` is the one that held when the request began; a handler uses no other.
    ``closing`` says whether the gateway was shutting down then. ``name`` is the model or the id
    that the path names, if any; ``target`` is the path with its query for the engine. ``memory``
    is what the request's body takes until the request has ended.
    """

    __slots__ = (
        "closing",
        "configuration",
        "memory",
        "name",
        "record",
        "request",
        "response",
        "target",
        "telemetry",
    )

    def __init__(
        self,
        request: web.BaseRequest,
        configuration: Configuration,
        record: AccessRecord,
        response: ClientResponse,
        telemetry: Telemetry,
        memory: Share,
        *,
        closing: bool,
    ) -> None:
        self.request = request
        self.configuration = configuration
        self.record = record
        self.response = response
        self.telemetry = telemetry
        self.memory = memory
        self.closing = closing
        self.name: str | None = None
        self.target = ""

    @property
    def client(self) -> str:
        """Who asks: a digest of the API key, else the address."""
        return self.record.client

    def priority(self) -> Priority:
        """The priority that the request asks for, where that is allowed; BadRequest if unknown."""
        allowed = self.configuration.settings.priority_header
        return priority_of(self.request.headers, allowed=allowed)

    async def json(self, value: Any, status: int = 200) -> None:  # noqa: ANN401 - any JSON value
        """Answer with ``value`` as JSON."""
        await self.response.answer(status, _JSON, orjson.dumps(value))


# Writes the answer to ``ctx.response`` or raises: a GatewayError is told by the frame.
Handler = Callable[[RequestContext], Awaitable[None]]
