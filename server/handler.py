"""``RequestHandler``: what an HTTP request asks of a model, as a call, and its answer.

Failures are raised where they are found; the middleware tells them to the client,
see ``server/middleware.py``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import orjson

from inference.call import Call
from inference.fallback import with_fallbacks
from inference.several import at_once, several
from models.requests.endpoints import COMPLETION, PASSTHROUGH
from models.requests.prompts import prompts_of
from models.requests.reader import RequestFacts, read
from models.routing.needed import RouteNeeded
from server.client_response import STREAM_HEADERS
from server.headers import CONVERSATION, conversation_of, patience_of, to_engine
from server.hops import headers_for
from server.uploads.body import FREE, read_body
from server.uploads.multipart import read_form
from utils.errors import BadRequest, ModelMissing, ModelUnread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from inference.call import Sink
    from inference.hold import Hold
    from inference.run import Inference
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json
    from models.requests.reader import Models
    from models.spec import ModelSpec
    from server.codecs.codec import Encoder
    from server.exchange import Request
    from server.middleware import Handler, RequestContext
    from server.missing_models import MissingModels, WaitingLines
    from server.router import Router
    from server.uploads.form import Form

    Run = Callable[[Call, Sink], Awaitable[None]]

_T = TypeVar("_T")

# Up to here parsing takes less time than handing it to a thread.
_PARSED_INLINE = 128 * 1024


class RequestHandler:
    """Answers requests that are work for a model."""

    def __init__(self, inference: Inference, router: Router, missing: MissingModels) -> None:
        self.requests = inference.requests
        self.streams = inference.streams
        self.router = router
        self._missing = missing
        self._inference = inference

    def answers(self, endpoint: Endpoint) -> Handler:
        """Return the handler of requests to this endpoint."""
        return partial(self._answer, endpoint=endpoint)

    async def pass_through(self, ctx: RequestContext) -> None:
        """Pass on what the model's engine, which may have to be started, answers to any request."""
        try:
            model = ctx.configuration.catalog.find(ctx.name)
        except ModelUnread as unread:
            await self._missing.read(ctx, unread)
            model = ctx.configuration.catalog.find(ctx.name)
        body = await read_body(ctx)
        # Whatever it is: the engine may answer with a stream, after which it hangs up.
        facts = RequestFacts(PASSTHROUGH, body, model.name, stream=True, max_output=0)
        ctx.response.keep_pages()
        await self._inference.run(_call(ctx, model, facts), ctx.response)

    async def run_translated(
        self, ctx: RequestContext, sink: Sink, model: ModelSpec, facts: RequestFacts
    ) -> None:
        """Run a request that was translated, on the path that engines have for it."""
        await self.run(ctx, translated_call(ctx, model, facts), sink)

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the tokens of a prompt without starting an engine; None if that cannot be."""
        return await self._inference.count(model, facts)

    def is_free(self, model: ModelSpec) -> bool:
        """Return whether an engine of the model has a free place now, and no request waits."""
        return self._inference.is_free(model)

    def hold(self, hold: Hold, models: Iterable[ModelSpec], client: str) -> bool:
        """Keep the engines of these models loaded; see ``inference.hold``."""
        return self._inference.hold(hold, models, client)

    async def read_ahead(self, call: Call) -> int | None:
        """Let a free engine read the prompt of a call to come; see ``inference.read_ahead``."""
        return await self._inference.read_ahead(call)

    async def load(self, model: ModelSpec, facts: RequestFacts | None = None) -> None:
        """Load a model for a request to come, if that ends no other's engine."""
        await self._inference.load(model, facts)

    async def run(self, ctx: RequestContext, call: Call, sink: Sink) -> None:
        """Run a call, whose answer goes to ``sink``; the errors are those of ``Inference.run``."""
        await self._way(ctx)(call, sink)

    def _way(self, ctx: RequestContext) -> Run:
        """Return what runs the calls of a request: with other models to fall back on, if any."""
        run, routed = self._inference.run, ctx.routed
        return run if routed is None else partial(with_fallbacks, run, others=routed)

    async def understood(
        self,
        ctx: RequestContext,
        size: int,
        parse: Callable[[], _T],
        lines: Callable[[str], WaitingLines] | None = None,
    ) -> _T:
        """Return what ``parse`` makes of a body of ``size`` bytes, in a thread if that takes long.

        If it names no model, the model is chosen first, and ``ctx`` names it when ``parse`` is
        called again. A model that is not on this machine is fetched first, as configured; ``lines``
        write, by the model's name, to a client that waits for a stream of lines.
        """
        try:
            return await parsed(size, parse)
        except RouteNeeded as needed:
            await self.router.choose(ctx, needed)
        except ModelMissing as missing:
            await self._missing.wait(ctx, missing, lines)
        except ModelUnread as unread:
            await self._missing.read(ctx, unread)
        return await parsed(size, parse)

    async def _answer(self, ctx: RequestContext, endpoint: Endpoint) -> None:
        body, configuration = ctx.request.whole, ctx.configuration
        if body is None or len(body) > min(FREE, configuration.settings.max_request_bytes):
            model, facts = await self._read(ctx, endpoint)
        else:
            # Most requests came whole, and are small: nothing is counted, nothing is awaited.
            try:
                catalog, fits = configuration.catalog, configuration.fits
                model, facts = read(endpoint, body, catalog, ctx.name, fits)
            except (RouteNeeded, ModelMissing, ModelUnread):
                model, facts = await self._read(ctx, endpoint)
        await self.answer(ctx, model, facts)

    async def answer(self, ctx: RequestContext, model: ModelSpec, facts: RequestFacts) -> None:
        """Answer a request that was read, as its engine does; its upload ends with it."""
        try:
            call = _call(ctx, model, facts)
            if facts.stream:
                ctx.response.keep_alive(ctx.configuration.settings.keepalive_interval)
            run = self._inference.run if ctx.routed is None else self._way(ctx)
            # Where somebody's account counts them, the tokens of each answer must be known.
            caller = ctx.record.caller
            apart = caller is not None and caller.account_id is not None and _is_several(facts)
            if (apart or facts.answers > 1) and _one_by_one(ctx, model, facts, apart=apart):
                await several(run, call, ctx.response, facts.answers, apart=apart)
            elif facts.answers > 1 and facts.stream and _gives_several(ctx, call):
                await at_once(run, call, ctx.response)
            else:
                await run(call, ctx.response)
        finally:
            if facts.upload is not None:
                facts.upload.close()

    async def _read(
        self, ctx: RequestContext, endpoint: Endpoint
    ) -> tuple[ModelSpec, RequestFacts]:
        if endpoint.form:
            form = await read_form(ctx)
            try:
                return await self.understood(ctx, 0, partial(read_form_of, ctx, endpoint, form))
            except BaseException:
                form.close()
                raise
        body = await read_body(ctx)
        return await self.understood(ctx, len(body), partial(_read, ctx, endpoint, body))


def _read(
    ctx: RequestContext, endpoint: Endpoint, body: bytes | Json
) -> tuple[ModelSpec, RequestFacts]:
    rename = ctx.routed is not None and ctx.routed.renames
    fits = ctx.configuration.fits
    return read(endpoint, body, _models(ctx), ctx.name, fits, rename=rename)


def _models(ctx: RequestContext) -> Models:
    """Return what finds the model of a request: the catalog, unless it was chosen before."""
    return ctx.configuration.catalog if ctx.routed is None else ctx.routed


def _is_several(facts: RequestFacts) -> bool:
    if facts.answers > 1:
        return True
    return facts.endpoint is COMPLETION and len(prompts_of(orjson.loads(facts.body))) > 1


def _one_by_one(ctx: RequestContext, model: ModelSpec, facts: RequestFacts, *, apart: bool) -> bool:
    """Return whether the answers to a request must be asked for one after another.

    Raises BadRequest for too many of them. Answers of ``/completion`` have another shape, so with
    ``apart`` there must be one.
    """
    at_once, settings = ctx.configuration.types.answers_at_once(model), ctx.configuration.settings
    if at_once is None:
        return False
    if _is_native(ctx.target):
        if apart:
            raise BadRequest(
                "Ask for one answer to one prompt: the engine counts the tokens of one alone. "
                "/v1/completions takes several."
            )
        return False
    if facts.answers <= at_once and not apart:
        return False
    if facts.answers > settings.max_answers:
        raise BadRequest(f"'n' must not exceed {settings.max_answers}.", param="n")
    return True


def _gives_several(ctx: RequestContext, call: Call) -> bool:
    """Return whether the engine gives several answers at once, in a stream that can be mended."""
    known = ctx.configuration.types.answers_at_once(call.model) is not None
    return known and call.conversation is None and not _is_native(ctx.target)


def _is_native(target: str) -> bool:
    return target.partition("?")[0] in ("/completion", "/completions", "/infill")


async def parsed(size: int, parse: Callable[[], _T]) -> _T:
    """Return what ``parse`` makes of a body of ``size`` bytes, in a thread if that takes long."""
    return parse() if size <= _PARSED_INLINE else await asyncio.to_thread(parse)


def read_translated(
    ctx: RequestContext, endpoint: Endpoint, request: Json
) -> tuple[ModelSpec, RequestFacts]:
    """Return model and facts of a request translated for ``endpoint``, or raise a GatewayError."""
    return _read(ctx, endpoint, request)


def read_form_of(
    ctx: RequestContext, endpoint: Endpoint, form: Form
) -> tuple[ModelSpec, RequestFacts]:
    """Return model and facts of a form that is complete, or raise a GatewayError."""
    rename = ctx.routed is not None
    return form.read(endpoint, _models(ctx), ctx.name, ctx.configuration.fits, rename=rename)


def stream_to(
    ctx: RequestContext,
    encoder: Encoder,
    *,
    stream: bool,
    idle: Callable[[], bytes] | None = None,
) -> None:
    """Prepare the client's response for a stream of ``encoder``: its comments, and its faults.

    ``idle`` returns events that keep a waiting client, beside comments.
    """
    if not stream:
        return
    ctx.response.end_faults(encoder.fail)
    if encoder.content_type == STREAM_HEADERS["Content-Type"]:
        ctx.response.keep_alive(ctx.configuration.settings.keepalive_interval, idle)


def translated_call(
    ctx: RequestContext, model: ModelSpec, facts: RequestFacts, path: str | None = None
) -> Call:
    """Return the call of a translated request; ``path`` is the engine's if not the endpoint's."""
    return _call(ctx, model, facts, path or facts.endpoint.paths[0])


def _call(
    ctx: RequestContext, model: ModelSpec, facts: RequestFacts, path: str | None = None
) -> Call:
    """Return the call; ``path`` is the engine's if the request was translated."""
    configuration, request, endpoint = ctx.configuration, ctx.request, facts.endpoint
    ctx.record.model = model.name
    conversation = None
    # What an engine keeps of a stream is not in the client's API if that was translated.
    if facts.stream and endpoint.generates and path is None:
        conversation = conversation_of(request.headers)
    key = model.name in configuration.with_client_key
    headers = _headers(request, facts, key=key, kept=conversation is not None)
    return Call(
        facts=facts,
        model=model,
        able=configuration.able[model.name],
        record=ctx.record,
        path=path or ctx.target,
        headers=headers
        if model.peer is None
        else headers_for(ctx, model, headers, stream=facts.stream),
        method=request.method,
        priority=ctx.priority(),
        conversation=conversation,
        patience=None if conversation is None else patience_of(request.headers),
    )


def _headers(request: Request, facts: RequestFacts, *, key: bool, kept: bool) -> Mapping[str, str]:
    """Return the headers for the engine; ``kept``: it keeps the stream for the client."""
    kind = None if facts.endpoint is PASSTHROUGH else "application/json"
    form = kind, facts.stream, key, kept
    if facts.upload is None and (known := request.prepared.headers.get(form)) is not None:
        return known
    headers = to_engine(request.headers, kind, key=key)
    if facts.upload is not None:
        headers["Content-Type"] = facts.upload.content_type
        headers["Content-Length"] = str(facts.upload.size)
    if facts.stream:
        # An engine may close the connection after a stream, whatever its headers promise;
        # the next request in the queue would be sent into that.
        headers["Connection"] = "close"
    if not kept:
        # Without it the engine stops when the client leaves: the answer could not be read again.
        headers.popall(CONVERSATION, None)
    if facts.upload is None:
        request.prepared.headers[form] = headers
    return headers
