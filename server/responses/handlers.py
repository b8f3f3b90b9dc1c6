"""The paths of the Responses API: create a response, read, cancel and delete stored ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.requests.endpoints import CHAT
from models.requests.reader import decoded
from server.access_log import AccessRecord
from server.client_response import STREAM_HEADERS
from server.codecs.collect import CollectingSink
from server.codecs.responses.compact import compacted, summary_request
from server.codecs.responses.encoder import Identity, ResponseEncoder
from server.codecs.responses.items import new_id
from server.codecs.responses.request import chat_of, read_request, shorter
from server.codecs.sink import TranslatingSink
from server.counting import prompt_tokens
from server.handler import parsed, read_translated, stream_to, translated_call
from server.headers import client_of
from server.responses.listing import count_of, page_of
from server.responses.runs import Run
from server.uploads.body import read_body
from utils.errors import (
    BadRequest,
    ContextLengthExceeded,
    GatewayError,
    UnknownPath,
    WrongMethod,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inference.call import Call, Sink
    from models.requests.fields import Json
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec
    from server.codecs.responses.request import ResponseRequest
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from server.responses.history import History
    from server.responses.runs import BackgroundRuns
    from utils.clock import Clock

# Bytes of an earlier item, roughly: many of them are read in a thread.
_ITEM = 1024
_OK = 200


@dataclass(frozen=True, slots=True)
class _Work:
    """A response to create: what was asked for, what was said before, and the chat that it is."""

    request: ResponseRequest
    owner: str
    earlier: tuple[Json, ...]
    chat: Json
    model: ModelSpec
    facts: RequestFacts


class ResponseHandlers:
    """Answers requests of the Responses API."""

    def __init__(
        self, handler: RequestHandler, history: History, runs: BackgroundRuns, clock: Clock
    ) -> None:
        self._handler = handler
        self._history = history
        self._runs = runs
        self._clock = clock

    async def close(self) -> None:
        """End the responses in the background, as failed."""
        await self._runs.close()

    # -- new responses ---------------------------------------------------------------

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a new response: whole, as a stream, or at once if in the background."""
        work = await self._understood(ctx)
        request = work.request
        identity = Identity(new_id("resp"), int(time.time()), work.model.name)
        if request.background:
            await self._in_background(ctx, work, identity)
            return
        encoder = ResponseEncoder(request, identity, time.time)
        stream_to(ctx, encoder, stream=request.stream, idle=encoder.idle)

        async def keep() -> None:
            await self._history.keep(request, encoder.resource(), work.owner)

        try:
            await self._answer(ctx, work, encoder, ctx.response, keep)
        except GatewayError as error:
            if encoder.begun:
                # The client knows the response by now.
                end = encoder.fail(error)
                ctx.response.end_faults(lambda _error: end)
                await keep()
            raise

    async def count(self, ctx: RequestContext) -> None:
        """Answer with the tokens that a response would read."""
        work = await self._understood(ctx)
        tokens = await prompt_tokens(self._handler, ctx, work.model, work.facts)
        if tokens is not None:
            await ctx.json({"object": "response.input_tokens", "input_tokens": tokens})

    async def compact(self, ctx: RequestContext) -> None:
        """Answer with the input's user messages and a summary of all of it."""
        work = await self._understood(ctx, summary_request)
        identity = Identity(new_id("resp"), int(time.time()), work.model.name)
        encoder = ResponseEncoder(work.request, identity, time.time)
        sink = CollectingSink(ctx.response)
        await self._answer(ctx, work, encoder, sink, None)
        if not sink.refused:
            response = encoder.resource()
            await ctx.json(compacted(response, identity.id, work.earlier, work.request.items))

    async def _understood(
        self, ctx: RequestContext, change: Callable[[Json], Json] = lambda request: request
    ) -> _Work:
        body = await read_body(ctx)
        owner = owner_of(ctx)
        request = await parsed(len(body), lambda: read_request(change(decoded(body))))
        request, earlier = await self._history.complete(request, owner)

        def understood() -> _Work:
            chat = chat_of(request, earlier)
            # What is read may be changed, as the model's configuration says.
            read = read_translated(ctx, CHAT, dict(chat))
            return _Work(request, owner, tuple(earlier), chat, *read)

        size = len(body) + len(earlier) * _ITEM
        return await self._handler.understood(ctx, size, understood)

    async def _answer(
        self,
        ctx: RequestContext,
        work: _Work,
        encoder: ResponseEncoder,
        inner: Sink,
        ended: Callable[[], Awaitable[None]] | None,
        record: AccessRecord | None = None,
    ) -> None:
        """Answer through ``inner``; leave out old messages where that is wanted and needed."""
        stream = work.request.stream or work.request.background
        messages, facts = work.chat["messages"], work.facts
        while True:
            sink = TranslatingSink(inner, encoder, stream=stream, ended=ended)
            call = _recorded(translated_call(ctx, work.model, facts), record)
            try:
                await self._handler.run(ctx, call, sink)
                await sink.end()
            except ContextLengthExceeded as error:
                if not work.request.shortened or encoder.answering:
                    raise
                left = shorter(messages, error.prompt_tokens, error.largest)
                if left is None:
                    raise
                messages = left
            else:
                return
            _, facts = read_translated(ctx, CHAT, {**work.chat, "messages": messages})

    # -- responses in the background -------------------------------------------------

    async def _in_background(self, ctx: RequestContext, work: _Work, identity: Identity) -> None:
        request = work.request
        encoder = ResponseEncoder(request, identity, time.time, queued=True)
        record = AccessRecord(
            ctx.request.method,
            path=ctx.record.path,
            started=self._clock.now(),
            id=ctx.telemetry.requests.new_id(),
            client=ctx.client,
            caller=ctx.record.caller,
            note="background",
        )
        run = Run(work.owner, encoder, record)

        async def answer(run: Run, sink: Sink) -> None:
            await self._answer(ctx, work, encoder, sink, run.held, record)

        async def keep(run: Run) -> None:
            told = [event.decode() for event in run.log.events] if request.stream else None
            await self._history.keep(request, encoder.resource(), work.owner, told)

        self._runs.start(identity.id, run, answer, keep)
        if request.stream:
            await _follow(ctx, run, 0)
        else:
            await ctx.json(encoder.resource())

    # -- stored responses ------------------------------------------------------------

    async def look(self, ctx: RequestContext) -> None:
        """Answer with a stored response, its events, or the items of its input."""
        key, _, page = (ctx.name or "").partition("/")
        if page == "input_items":
            document = await self._history.find(key, owner_of(ctx))
            await ctx.json(page_of(document["items"], ctx.request.query))
        elif page:
            raise UnknownPath(f"Nothing is served at {ctx.request.path}.")
        elif ctx.request.query.get("stream") == "true":
            await self._stream(ctx, key)
        else:
            await ctx.json(await self._response(ctx, key))

    async def act(self, ctx: RequestContext) -> None:
        """Cancel a response that runs in the background; answer with what it has become."""
        key, _, action = (ctx.name or "").partition("/")
        if not action:
            raise WrongMethod(f"{ctx.request.path} does not take POST.", ("GET", "DELETE"))
        if action != "cancel":
            raise UnknownPath(f"Nothing is served at {ctx.request.path}.")
        if (run := self._runs.find(key, owner_of(ctx))) is not None:
            run.cancel()
            await run.over.wait()
        response = await self._response(ctx, key)
        if not response["background"]:
            raise BadRequest("Only a response in the background can be cancelled.")
        await ctx.json(response)

    async def delete(self, ctx: RequestContext) -> None:
        """Forget a stored response; one that still runs is cancelled."""
        key, owner = ctx.name or "", owner_of(ctx)
        if (run := self._runs.find(key, owner)) is not None:
            run.cancel()
            await run.over.wait()
        await self._history.remove(key, owner)
        await ctx.json({"id": key, "object": "response", "deleted": True})

    async def _response(self, ctx: RequestContext, key: str) -> Json:
        owner = owner_of(ctx)
        if (run := self._runs.find(key, owner)) is not None:
            return run.encoder.resource()
        response: Json = (await self._history.find(key, owner))["response"]
        return response

    async def _stream(self, ctx: RequestContext, key: str) -> None:
        """Answer with the events of a response after the one with the number ``starting_after``."""
        owner, query = owner_of(ctx), ctx.request.query
        first = count_of(query, "starting_after", -1) + 1
        if (run := self._runs.find(key, owner)) is not None:
            await _follow(ctx, run, first)
            return
        document = await self._history.find(key, owner)
        if "events" not in document:
            raise BadRequest(
                "Only a response that was created with 'background' and 'stream' can be streamed"
                " again.",
                param="stream",
            )
        await ctx.response.begin(_OK, STREAM_HEADERS)
        await ctx.response.write("".join(document["events"][first:]).encode())


def owner_of(ctx: RequestContext) -> str:
    """Return whose responses the request may see: its account's, else those of its API key."""
    return client_of(ctx.request.headers, None) if ctx.record.caller is None else ctx.client


async def _follow(ctx: RequestContext, run: Run, first: int) -> None:
    ctx.response.keep_alive(ctx.configuration.settings.keepalive_interval)
    await ctx.response.begin(_OK, STREAM_HEADERS)
    async for events in run.log.follow(first):
        await ctx.response.write(events)


def _recorded(call: Call, record: AccessRecord | None) -> Call:
    return call if record is None else replace(call, record=record)
