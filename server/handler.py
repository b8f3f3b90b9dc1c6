"""``RequestHandler``: the one way through for an inference request.

    bytes in → RequestFacts → Selection → lease on an engine → engine's response → bytes out

Failures are raised where they are found and told to the client by the frame around requests,
see ``server/middleware.py``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.continuation.experience import Experience
from inference.continuation.relay import relay_continued
from inference.relay import relay
from inference.stream_registry import StreamRegistry, conversation_of
from inference.upstream_call import UpstreamCall, decision
from models.capabilities import require
from models.requests.reader import RequestFacts, parse
from models.requests.shaping import shape
from models.selection import choose_ahead
from server.uploads.body import read_body
from server.uploads.multipart import read_form
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from models.requests.endpoints import Endpoint
    from models.selection import ModelSelector
    from server.configuration import CurrentConfiguration
    from server.context import Handler, RequestContext
    from utils.clock import Clock

# Up to here parsing takes less time than handing it to a thread.
_PARSED_INLINE = 128 * 1024


class RequestHandler:
    """Answers inference requests."""

    def __init__(
        self,
        current: CurrentConfiguration,
        selector: ModelSelector,
        manager: EngineManager,
        clock: Clock,
    ) -> None:
        self.conversations = StreamRegistry(manager)
        self._experience = Experience()
        self._current = current
        self._selector = selector
        self._manager = manager
        self._clock = clock

    def answers(self, endpoint: Endpoint) -> Handler:
        """Return the handler of requests to this endpoint."""
        return partial(self._handle, endpoint=endpoint)

    async def _handle(self, ctx: RequestContext, endpoint: Endpoint) -> None:
        facts = await _read(ctx, endpoint)
        try:
            await self._serve(ctx, facts)
        finally:
            if facts.upload is not None:
                facts.upload.close()

    async def _serve(self, ctx: RequestContext, facts: RequestFacts) -> None:
        request, configuration = ctx.request, ctx.configuration
        record, down = ctx.record, ctx.response
        # The model that the path names goes before the body's.
        model = configuration.catalog.find(ctx.name or facts.model)
        record.model = model.name
        require(model, configuration.able[model.name], facts)
        priority = ctx.priority()
        if facts.stream:
            down.keep_alive(configuration.settings.keepalive_interval)
        selection = await self._selector.select(model, facts)
        record.prompt = (selection.size.tokens or None) if facts.endpoint.sized else None
        down.decided = decision(selection.minimum, selection.size, facts)
        lease = self._manager.lease(
            selection.minimum, ctx.client, priority, facts.keep_alive, selection.fallbacks
        )
        record.ticket = lease.request
        down.progress = lease.waits_for
        conversation = conversation_of(request.headers, facts)
        try:
            async with self.conversations.hold(
                lease, conversation, record, down, ctx.telemetry.requests
            ) as hold:
                exchange = UpstreamCall(self._manager, lease, selection, facts)
                hold.at_end(exchange.left)
                upstream = await hold.open(lambda: exchange.open(ctx.target, request.headers))
                record.variant = lease.variant.label
                record.first = self._clock.now() - record.started
                down.decided = exchange.decision()
                # Whoever may read a stream again must find all of it on one engine.
                codec = self._experience.codec(model, facts.endpoint)
                may_grow = lease.variant.capacity < model.largest.capacity
                try:
                    if codec is not None and may_grow and conversation is None:
                        usage = await relay_continued(upstream, down, codec, facts, exchange)
                    else:
                        usage = await relay(upstream, down)
                except EngineBroke as error:
                    record.variant = exchange.label
                    raise await exchange.broken(error) from error
                if exchange.answered_anew:
                    self._experience.answered_anew(model)
                record.variant = exchange.label
                exchange.answered(usage)
                if model.grow_ahead and facts.endpoint.generates:
                    lease.ahead = choose_ahead(model, lease.variant, usage.total)
        finally:
            record.queued, record.loading = lease.queued, lease.loading
        if usage.prompt is not None:
            record.prompt, record.counted = usage.prompt, True
            if self._current.still_has(model):
                self._selector.learn(model, facts, usage.prompt)
        record.completion = usage.completion


async def _read(ctx: RequestContext, endpoint: Endpoint) -> RequestFacts:
    def shaped(fields: dict[str, Any], asked: str | None) -> bool:
        name = ctx.name or asked
        return shape(fields, ctx.configuration.catalog.find(name), name)

    if endpoint.form:
        form = await read_form(ctx)
        try:
            return form.facts(shaped)
        except BaseException:
            form.close()
            raise
    body = await read_body(ctx)
    if len(body) <= _PARSED_INLINE:
        return parse(endpoint, body, shaped)
    return await asyncio.to_thread(parse, endpoint, body, shaped)
