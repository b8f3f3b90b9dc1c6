"""Requests about streams that exist: read one again, look them up, stop or control one.

The streams belong to running engines, so these requests neither wait in the queue nor start one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from inference.relay import relay
from inference.usage import Tally
from models.requests.reader import decoded
from server.headers import to_engine
from server.passthrough import show
from server.uploads.body import read_body
from utils.errors import BadRequest, ModelNotLoaded, StreamNotFound

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from inference.detached import DetachedStreams
    from server.middleware import RequestContext

_CONTROL = "/v1/chat/completions/control"
_NO_CONTENT = 204


class StreamRoutes:
    """Finds the engine of a stream, and passes the request on to it."""

    def __init__(self, streams: DetachedStreams, manager: EngineManager) -> None:
        self._streams = streams
        self._manager = manager

    async def read(self, ctx: RequestContext) -> None:
        """Pass on the stream of the conversation that the query names.

        Raises StreamNotFound if no engine has it.
        """
        conversation = _conversation(ctx)
        holder = self._streams.holder(conversation)
        with self._streams.read_by_one(conversation):
            await show(ctx, *holder, ctx.target)

    async def stop(self, ctx: RequestContext) -> None:
        """End the stream of the conversation that the query names; it may have ended already."""
        try:
            holder = self._streams.holder(_conversation(ctx))
        except StreamNotFound:
            await ctx.response.answer(_NO_CONTENT, {}, b"")
        else:
            await show(ctx, *holder, ctx.target)

    async def lookup(self, ctx: RequestContext) -> None:
        """Answer with the streams that running engines have of the conversations in the body."""
        body = await read_body(ctx)
        decoded(body)
        await ctx.json(await self._streams.lookup(body))

    async def control(self, ctx: RequestContext) -> None:
        """Pass the request to engines until one accepts it, and answer with its answer.

        The path may name a model; else all running engines are tried. If none accepts, the answer
        is that of the last one. Raises ModelNotLoaded if none runs.
        """
        name = None if ctx.name is None else ctx.configuration.catalog.find(ctx.name).name
        body = await read_body(ctx)
        engines = [each for each in self._manager.ready() if name in (None, each[0].model)]
        if not engines:
            raise ModelNotLoaded("No engine runs that could write this completion.")
        headers = to_engine(ctx.request.headers)
        headers["Connection"] = "close"
        for variant, client in engines:
            async with await client.forward(_CONTROL, headers, body) as upstream:
                if _done(upstream) or client is engines[-1][1]:
                    ctx.record.model, ctx.record.variant = variant.model, variant.label
                    ctx.response.decided = {"X-Gateway-Variant": variant.label}
                    await relay(upstream, ctx.response, Tally())
                    return


def _conversation(ctx: RequestContext) -> str:
    conversation = ctx.request.query.get("conv_id")
    if not conversation:
        raise BadRequest("'conv_id' must name a conversation.", param="conv_id")
    return conversation


def _done(upstream: UpstreamResponse) -> bool:
    try:
        return bool(orjson.loads(upstream.first)["success"])
    except (ValueError, KeyError, TypeError):
        return False
