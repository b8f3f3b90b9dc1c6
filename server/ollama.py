"""``OllamaHandlers``: the answers of Ollama's API; its pages are in server/pages_of_ollama.py.

Requests are translated, and then run like all others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from models.requests.endpoints import AUXILIARY
from models.selection import choose
from server.codecs.collect import CollectingSink, Unheard
from server.codecs.ollama.answers import ChatEncoder, GenerateEncoder
from server.codecs.ollama.pages import when
from server.codecs.ollama.requests import (
    Purpose,
    chat,
    embed,
    embeddings,
    generate,
    top_logprobs,
)
from server.codecs.ollama.vectors import (
    content_in,
    embed_answer,
    embeddings_answer,
    tokens_in,
)
from server.codecs.sink import TranslatingSink
from server.handler import parsed, read_translated, stream_to, translated_call
from server.known_models import known
from server.pages_of_ollama import request_in, text_in
from server.uploads.body import read_body
from utils.errors import BadRequest, ContextLengthExceeded
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.manager import EngineManager
    from models.requests.facts import RequestFacts
    from models.requests.fields import Json
    from models.spec import ModelSpec
    from server.codecs.ollama.requests import Asked
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from utils.clock import Clock

_log = get_logger("ollama")
# Tokens that a model may add to a text, and that may come of joining its tokens to a text.
_MARGIN = 8


class _Understood(NamedTuple):
    """A request: its fields, what it asks, and the engine's request if it wants an answer."""

    request: Json
    asked: Asked
    model: ModelSpec
    facts: RequestFacts | None


class _Times:
    """The times of a request."""

    def __init__(self, ctx: RequestContext, clock: Clock) -> None:
        self._record = ctx.record
        self._clock = clock

    def now(self) -> str:
        """Return the time of day, in the form of RFC 3339."""
        return when(datetime.now(UTC))

    def total(self) -> float:
        """Return the seconds since the request came."""
        return self._clock.now() - self._record.started

    def loading(self) -> float:
        """Return the seconds that the request waited while a model was loaded."""
        return self._record.loading or 0.0


class OllamaHandlers:
    """Answers on the paths of Ollama's API."""

    def __init__(self, handler: RequestHandler, manager: EngineManager, clock: Clock) -> None:
        self._handler = handler
        self._manager = manager
        self._clock = clock

    # -- answers ---------------------------------------------------------------------

    async def chat(self, ctx: RequestContext) -> None:
        """Answer a chat, or load or unload the model if there are no messages."""
        await self._write(ctx, chat, ChatEncoder)

    async def generate(self, ctx: RequestContext) -> None:
        """Answer a prompt, or load or unload the model if there is none."""
        await self._write(ctx, generate, GenerateEncoder)

    async def embed(self, ctx: RequestContext) -> None:
        """Answer with a vector for each input."""
        found = await self._understood(ctx, embed)
        name, times = _name(found), _Times(ctx, self._clock)
        if found.facts is None:
            await self._load(ctx, found)
            await ctx.json({"model": name, "embeddings": []})
            return
        dimensions = found.request.get("dimensions")
        try:
            body = await self._collected(ctx, found.model, found.facts)
        except ContextLengthExceeded as error:
            if found.request.get("truncate") is False:
                raise
            cut = await self._cut(ctx, found, error.largest)
            if cut is None:
                raise
            body = await self._collected(ctx, found.model, cut)
        if body is not None:
            answer = await parsed(len(body), lambda: embed_answer(body, name, times, dimensions))
            await ctx.json(answer)

    async def embeddings(self, ctx: RequestContext) -> None:
        """Answer with the vector of the prompt."""
        found = await self._understood(ctx, embeddings)
        if found.facts is None:
            await self._load(ctx, found)
            await ctx.json({"embedding": []})
            return
        body = await self._collected(ctx, found.model, found.facts)
        if body is not None:
            await ctx.json(await parsed(len(body), lambda: embeddings_answer(body)))

    async def _write(
        self,
        ctx: RequestContext,
        read: Callable[[Json], Asked],
        encoder: type[GenerateEncoder],
    ) -> None:
        times = _Times(ctx, self._clock)
        found = await self._understood(ctx, read, lambda name: encoder(name, times))
        name, asked = _name(found), found.asked
        if found.facts is None:
            await self._load(ctx, found)
            await ctx.json(encoder(name, times).without_answer(asked.purpose.value))
            return
        if asked.thinks:
            await self._require_thoughts(ctx, found)
        if asked.stream:
            interval = ctx.configuration.settings.keepalive_interval
            ctx.response.keep_alive(interval, encoder(name, times).idle, lines=True)
        writes = encoder(name, times, top_logprobs(found.request))
        stream_to(ctx, writes, stream=asked.stream)
        sink = TranslatingSink(ctx.response, writes, stream=asked.stream)
        await self._handler.run_translated(ctx, sink, found.model, found.facts)
        await sink.end()

    async def _understood(
        self,
        ctx: RequestContext,
        read: Callable[[Json], Asked],
        lines: Callable[[str], GenerateEncoder] | None = None,
    ) -> _Understood:
        body = await read_body(ctx)

        def understood() -> _Understood:
            request = request_in(body)
            asked = read(request)
            if asked.purpose is not Purpose.ANSWER:
                model = ctx.configuration.catalog.find(text_in(request, "model") or ctx.name)
                return _Understood(request, asked, model, None)
            model, facts = read_translated(ctx, asked.endpoint, asked.body)
            return _Understood(request, asked, model, facts._replace(context=asked.context))

        found = await self._handler.understood(ctx, len(body), understood, lines)
        if found.asked.unused:
            _log.debug("options that change nothing: %s", ", ".join(found.asked.unused))
        return found

    async def _collected(
        self, ctx: RequestContext, model: ModelSpec, facts: RequestFacts
    ) -> bytes | None:
        """Return the engine's answer; None if the client has been told of an error."""
        sink = CollectingSink(ctx.response)
        await self._handler.run_translated(ctx, sink, model, facts)
        return None if sink.refused else sink.body

    async def _cut(self, ctx: RequestContext, found: _Understood, most: int) -> RequestFacts | None:
        """Return the request with the beginnings of inputs that have more than ``most`` tokens.

        None if the engine does not tell the tokens of a text.
        """
        inputs: list[str] = []
        for text in found.asked.body["input"]:
            # No text has more tokens than bytes.
            if len(text.encode()) <= most:
                inputs.append(text)
                continue
            tokens = tokens_in(await self._told(ctx, found, "/tokenize", {"content": text}))
            if tokens is None:
                return None
            kept = {"tokens": tokens[: max(1, most - _MARGIN)]}
            beginning = content_in(await self._told(ctx, found, "/detokenize", kept))
            if beginning is None:
                return None
            inputs.append(beginning)
        body = {**found.asked.body, "input": inputs}
        return read_translated(ctx, found.asked.endpoint, body)[1]

    async def _told(
        self, ctx: RequestContext, found: _Understood, path: str, request: Json
    ) -> bytes:
        """Return what the model's engine answers to a request beside its slots; b"" if nothing."""
        asked = {"model": found.model.name, **request}
        model, facts = read_translated(ctx, AUXILIARY, asked)
        sink = CollectingSink(Unheard())
        await self._handler.run(ctx, translated_call(ctx, model, facts, path), sink)
        return b"" if sink.refused else sink.body

    async def _require_thoughts(self, ctx: RequestContext, found: _Understood) -> None:
        [seen] = await known(ctx, [(found.model.name, found.model)])
        file = seen.file
        if file is not None and file.template and not file.facts.thinking:
            raise BadRequest(f'"{_name(found)}" does not support thinking', param="think")

    # -- load and unload -------------------------------------------------------------

    async def _load(self, ctx: RequestContext, found: _Understood) -> None:
        """Load the model, or unload it, as the request asks; return once that is done."""
        model, asked = found.model, found.asked
        ctx.record.model = model.name
        if asked.purpose is Purpose.UNLOAD:
            await self._manager.unload(model.name)
            return
        wanted = model.variants[0]
        if model.counted:
            wanted = choose(model, 0, 0, asked.context)
        running = self._manager.running(model)
        serves = running is not None and running.capacity >= wanted.capacity
        lease = self._manager.lease(
            wanted, ctx.client, ctx.priority(), asked.keep_alive, auxiliary=serves
        )
        ctx.record.ticket = lease.request
        async with lease:
            ctx.record.variant = lease.variant.label
        ctx.record.queued, ctx.record.loading = lease.queued, lease.loading


def _name(found: _Understood) -> str:
    """Return the model's name as the client wrote it."""
    return text_in(found.request, "model") or found.model.name
