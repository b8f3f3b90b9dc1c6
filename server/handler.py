"""``RequestHandler``: what an HTTP request asks of a model, as a call, and its answer.

Failures are raised where they are found; the middleware tells them to the client,
see ``server/middleware.py``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from inference.call import Call
from models.requests.endpoints import PASSTHROUGH
from models.requests.reader import RequestFacts, read
from server.headers import CONVERSATION, conversation_of, to_engine
from server.uploads.body import read_body
from server.uploads.multipart import read_form

if TYPE_CHECKING:
    from inference.run import Inference
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec
    from server.middleware import Handler, RequestContext

# Up to here parsing takes less time than handing it to a thread.
_PARSED_INLINE = 128 * 1024


class RequestHandler:
    """Answers requests that are work for a model."""

    def __init__(self, inference: Inference) -> None:
        self.requests = inference.requests
        self.streams = inference.streams
        self._inference = inference

    def answers(self, endpoint: Endpoint) -> Handler:
        """Return the handler of requests to this endpoint."""
        return partial(self._answer, endpoint=endpoint)

    async def pass_through(self, ctx: RequestContext) -> None:
        """Pass on what the model's engine, which may have to be started, answers to any request."""
        model = ctx.configuration.catalog.find(ctx.name)
        body = await read_body(ctx)
        # Whatever it is: the engine may answer with a stream, after which it hangs up.
        facts = RequestFacts(PASSTHROUGH, body, model.name, stream=True, max_output=0)
        await self._inference.run(_call(ctx, model, facts), ctx.response)

    async def _answer(self, ctx: RequestContext, endpoint: Endpoint) -> None:
        model, facts = await _read(ctx, endpoint)
        try:
            call = _call(ctx, model, facts)
            if facts.stream:
                ctx.response.keep_alive(ctx.configuration.settings.keepalive_interval)
            await self._inference.run(call, ctx.response)
        finally:
            if facts.upload is not None:
                facts.upload.close()


def _call(ctx: RequestContext, model: ModelSpec, facts: RequestFacts) -> Call:
    configuration, request, endpoint = ctx.configuration, ctx.request, facts.endpoint
    ctx.record.model = model.name
    kind = None if endpoint is PASSTHROUGH else "application/json"
    key = model.name in configuration.with_client_key
    headers = to_engine(request.headers, kind, key=key)
    if facts.upload is not None:
        headers["Content-Type"] = facts.upload.content_type
        headers["Content-Length"] = str(facts.upload.size)
    conversation = None
    if facts.stream:
        # An engine may close the connection after a stream, whatever its headers promise;
        # the next request in the queue would be sent into that.
        headers["Connection"] = "close"
        if endpoint.generates:
            conversation = conversation_of(request.headers)
    if conversation is None:
        # Without it the engine stops when the client leaves: the answer could not be read again.
        headers.popall(CONVERSATION, None)
    return Call(
        facts=facts,
        model=model,
        able=configuration.able[model.name],
        record=ctx.record,
        path=ctx.target,
        headers=headers,
        method=request.method,
        priority=ctx.priority(),
        conversation=conversation,
    )


async def _read(ctx: RequestContext, endpoint: Endpoint) -> tuple[ModelSpec, RequestFacts]:
    catalog, named = ctx.configuration.catalog, ctx.name
    if endpoint.form:
        form = await read_form(ctx)
        try:
            return form.read(catalog, named)
        except BaseException:
            form.close()
            raise
    body = await read_body(ctx)
    if len(body) <= _PARSED_INLINE:
        return read(endpoint, body, catalog, named)
    return await asyncio.to_thread(read, endpoint, body, catalog, named)
