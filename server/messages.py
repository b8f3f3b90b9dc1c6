"""``MessagesHandlers``: Anthropic's Messages API, on top of chats.

An engine with its own ``/v1/messages`` answers a request itself in two cases: its ``endpoints``
name that path, or the request names a conversation, whose stream the engine keeps in this API.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from models.requests.endpoints import AUXILIARY, CHAT, MESSAGES
from models.requests.reader import decoded, model_of, stream_of
from models.routing.needed import RouteNeeded
from server.codecs.messages.encoder import Identity, MessagesEncoder
from server.codecs.messages.request import read_request
from server.codecs.sink import TranslatingSink
from server.counting import prompt_tokens
from server.handler import read_translated
from server.headers import conversation_of
from server.uploads.body import read_body

if TYPE_CHECKING:
    from models.requests.facts import RequestFacts
    from models.requests.reader import Models
    from models.spec import ModelSpec
    from server.codecs.messages.request import MessagesRequest
    from server.handler import RequestHandler
    from server.middleware import RequestContext

_PATH = MESSAGES.paths[0]


class _Work(NamedTuple):
    """A request: what it asks for, None if the engine reads it itself, and what was read of it."""

    request: MessagesRequest | None
    model: ModelSpec
    facts: RequestFacts


class MessagesHandlers:
    """Answers requests of the Messages API."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a message: whole, or as a stream."""
        # Where Anthropic's clients look for it, to tell it to their users.
        ctx.response.carry({"Request-Id": ctx.record.id})
        work = await _understood(self._handler, ctx)
        if work.request is None:
            await self._handler.answer(ctx, work.model, work.facts)
            return
        stream, record = work.facts.stream, ctx.record
        encoder = MessagesEncoder(
            Identity(f"msg_{secrets.token_hex(12)}", work.facts.model or work.model.name),
            lambda: 0 if record.bound else record.prompt or 0,
            stops=work.request.stops,
            begun=work.request.begun,
            omitted=work.request.omitted,
        )
        if stream:
            interval = ctx.configuration.settings.keepalive_interval
            ctx.response.keep_alive(interval, encoder.idle)
        sink = TranslatingSink(ctx.response, encoder, stream=stream)
        await self._handler.run_translated(ctx, sink, work.model, work.facts)
        await sink.end()

    async def count(self, ctx: RequestContext) -> None:
        """Answer with the tokens that a message would read."""
        work = await _understood(self._handler, ctx, counts=True)
        if work.request is None:
            await self._handler.answer(ctx, work.model, work.facts)
            return
        tokens = await prompt_tokens(self._handler, ctx, work.model, work.facts)
        if tokens is not None:
            await ctx.json({"input_tokens": tokens})


async def _understood(
    handler: RequestHandler, ctx: RequestContext, *, counts: bool = False
) -> _Work:
    """Return what a request asks for; one that ``counts`` asks for no answer."""
    body = await read_body(ctx)

    def understood() -> _Work:
        # Another one if the model had to be fetched first.
        configuration = ctx.configuration
        request = decoded(body)
        try:
            name = ctx.name or model_of(request)
            models: Models = configuration.catalog if ctx.routed is None else ctx.routed
            model = models.asked(CHAT, request, name)
        except RouteNeeded:
            # The models are compared by the chat, and then this is called again.
            return _Work(None, *read_translated(ctx, CHAT, read_request(request, frozenset()).chat))
        obeyed = configuration.types.obeyed(model)
        kept = stream_of(request) and conversation_of(ctx.request.headers) is not None
        if (
            any(_PATH in variant.endpoints for variant in model.variants)
            or (counts and not obeyed)
            or (kept and not counts)
        ):
            endpoint = AUXILIARY if counts else MESSAGES
            return _Work(None, *read_translated(ctx, endpoint, request))
        asked = read_request(request, obeyed)
        if counts:
            asked.chat["stream"] = False
        return _Work(asked, *read_translated(ctx, CHAT, asked.chat))

    return await handler.understood(ctx, len(body), understood)
