"""The way to an engine's own pages, for all that the gateway does not answer itself.

Looking (GET and HEAD) never starts an engine and holds none: it sees what runs. Everything
else is work, waits in the queue like any request, and may start the model's engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.relay import relay
from inference.upstream_call import UpstreamCall
from models.requests import endpoints
from models.requests.reader import RequestFacts
from models.selection import Selection
from models.sizing import PromptSize, Source
from server.headers import to_look
from server.uploads.body import read_body
from utils.errors import EngineBroke, ModelNotLoaded

if TYPE_CHECKING:
    from engine.client import EngineClient
    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.spec import VariantSpec
    from server.context import RequestContext
    from utils.clock import Clock

_UNSIZED = PromptSize(1, 1, Source.BOUND)


class Passthrough:
    """Answers requests that are addressed to an engine."""

    def __init__(self, manager: EngineManager, clock: Clock) -> None:
        self._manager = manager
        self._clock = clock

    async def look(self, ctx: RequestContext) -> None:
        """Show what the model's running engine answers; without a name, the latest engine's.

        The model is named by the path or by ``?model=``. ModelNotLoaded when no engine runs,
        EngineUnresponsive when it is silent.
        """
        name = ctx.name if ctx.name is not None else ctx.request.query.get("model")
        await show(ctx, *self._running(ctx.configuration.catalog, name), ctx.target)

    async def work(self, ctx: RequestContext) -> None:
        """Pass the engine's answer on, which may have to be started for it."""
        record, down = ctx.record, ctx.response
        model = ctx.configuration.catalog.find(ctx.name)
        record.model = model.name
        priority = ctx.priority()
        body = await read_body(ctx)
        # Whatever it is: the engine may answer with a stream, after which it hangs up.
        facts = RequestFacts(endpoints.AUXILIARY, body, model.name, stream=True, max_output=0)
        selection = Selection(model, model.variants[0], _UNSIZED, 0)
        lease = self._manager.lease(selection.minimum, ctx.client, priority)
        record.ticket = lease.request
        try:
            async with lease:
                exchange = UpstreamCall(self._manager, lease, selection, facts)
                async with await exchange.open_unread(
                    ctx.target, ctx.request.headers, ctx.request.method
                ) as upstream:
                    record.variant = lease.variant.label
                    record.first = self._clock.now() - record.started
                    down.decided = {"X-Gateway-Variant": lease.variant.label}
                    try:
                        await relay(upstream, down)
                    except EngineBroke as error:
                        raise await exchange.broken(error) from error
        finally:
            record.queued, record.loading = lease.queued, lease.loading

    def _running(self, catalog: Catalog, name: str | None) -> tuple[VariantSpec, EngineClient]:
        model = None if name is None else catalog.find(name).name
        for variant, client in reversed(self._manager.ready()):
            if model in (None, variant.model):
                return variant, client
        what = "No model is loaded" if model is None else f"The model '{model}' is not loaded"
        raise ModelNotLoaded(f"{what}, and a look does not load one.")


async def show(ctx: RequestContext, variant: VariantSpec, client: EngineClient, path: str) -> None:
    """Pass on what the engine answers at ``path``; the request neither starts nor holds it."""
    ctx.record.model, ctx.record.variant = variant.model, variant.label
    headers = to_look(ctx.request.headers)
    headers["Connection"] = "close"
    async with await client.look(path, headers, ctx.request.method) as upstream:
        ctx.response.decided = {"X-Gateway-Variant": variant.label}
        await relay(upstream, ctx.response)
