"""Requests about streams that are under way: read again, looked up, stopped, steered.

They belong to engines at work, so none of them waits for a place or starts anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from inference.relay import relay
from models.requests.fields import decoded
from server.headers import to_engine
from server.middleware import answered, read_body
from server.passthrough import show
from utils.errors import BadRequest, ModelNotLoaded, StreamNotFound

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from inference.stream_registry import StreamRegistry
    from server.access_log import AccessRecord
    from server.client_response import ClientResponse
    from server.configuration import Configuration
    from utils.clock import Clock

CONTROL = "/v1/chat/completions/control"
_OK = 200


class StreamRoutes:
    """Finds the engine that holds what is asked about."""

    def __init__(self, conversations: StreamRegistry, manager: EngineManager, clock: Clock) -> None:
        self._conversations = conversations
        self._manager = manager
        self._clock = clock

    async def stream(
        self, request: web.BaseRequest, configuration: Configuration
    ) -> web.StreamResponse:
        """What the engine that holds the conversation in the query has written for it.

        DELETE ends it, and does so again. StreamNotFound is told when no engine holds it.
        """
        conversation = request.query.get("conv_id")
        if not conversation:
            raise BadRequest("'conv_id' must name a conversation.", param="conv_id")
        holder = self._conversations.holder
        if request.method == "DELETE":
            try:
                holder(conversation)
            except StreamNotFound:
                return web.Response(status=204)
        path = str(request.rel_url)
        find = lambda: holder(conversation)  # noqa: E731 - bound to this conversation
        return await show(request, configuration, self._clock, find, path)

    async def lookup(
        self, request: web.BaseRequest, configuration: Configuration
    ) -> web.StreamResponse:
        """What all running engines hold of the conversations that the body names."""
        settings = configuration.settings

        async def serve(down: ClientResponse, _record: AccessRecord) -> None:
            body = await read_body(request, settings.max_request_bytes, settings.client_timeout)
            decoded(body)
            found = orjson.dumps(await self._conversations.lookup(body))
            await down.answer(_OK, {"Content-Type": "application/json"}, found)

        return await answered(request, self._clock, settings.client_timeout, serve)

    async def control(
        self, request: web.BaseRequest, configuration: Configuration, model: str | None = None
    ) -> web.StreamResponse:
        """The answer of the engine, of ``model`` or any, that writes the named completion.

        Without such an engine the last one's answer, or ModelNotLoaded when none runs.
        """
        settings = configuration.settings
        name = None if model is None else configuration.catalog.find(model).name

        async def serve(down: ClientResponse, record: AccessRecord) -> None:
            body = await read_body(request, settings.max_request_bytes, settings.client_timeout)
            engines = [each for each in self._manager.ready() if name in (None, each[0].model)]
            if not engines:
                raise ModelNotLoaded("No engine runs that could write this completion.")
            headers = to_engine(request.headers)
            headers["Connection"] = "close"
            for variant, client in engines:
                async with await client.forward(CONTROL, headers, body) as upstream:
                    if _done(upstream) or client is engines[-1][1]:
                        record.model, record.variant = variant.model, variant.label
                        down.decided = {"X-Gateway-Variant": variant.label}
                        await relay(upstream, down)
                        return

        return await answered(request, self._clock, settings.client_timeout, serve)


def _done(upstream: UpstreamResponse) -> bool:
    try:
        return bool(orjson.loads(upstream.first)["success"])
    except (ValueError, KeyError, TypeError):
        return False
