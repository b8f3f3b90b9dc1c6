"""Passthrough to the pages of engines: every path that the gateway does not answer itself.

GET and HEAD start no engine and take no slot. A request with another method waits in the queue
like any request, and may start the model's engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.relay import relay
from inference.usage import Tally
from models.capabilities import require_path
from server.headers import to_look
from utils.errors import ModelNotLoaded

if TYPE_CHECKING:
    from engine.client import EngineClient
    from engine.manager import EngineManager
    from models.catalog import Catalog
    from models.spec import VariantSpec
    from server.handler import RequestHandler
    from server.middleware import RequestContext


class Passthrough:
    """Answers requests that are addressed to an engine."""

    def __init__(self, handler: RequestHandler, manager: EngineManager) -> None:
        self.work = handler.pass_through
        self._manager = manager

    async def look(self, ctx: RequestContext) -> None:
        """Answer with the page of the model's running engine; without a name, the latest engine's.

        The path or ``?model=`` names the model. Raises ModelNotLoaded if no engine runs, and
        EngineUnresponsive if it does not answer.
        """
        name = ctx.name if ctx.name is not None else ctx.request.query.get("model")
        catalog = ctx.configuration.catalog
        variant, client = self._running(catalog, name)
        require_path(catalog.find(variant.model), ctx.target)
        await show(ctx, variant, client, ctx.target)

    def _running(self, catalog: Catalog, name: str | None) -> tuple[VariantSpec, EngineClient]:
        model = None if name is None else catalog.find(name).name
        for variant, client in reversed(self._manager.ready()):
            if model in (None, variant.model):
                return variant, client
        what = "No model is loaded" if model is None else f"The model '{model}' is not loaded"
        raise ModelNotLoaded(f"{what}, and a GET request does not load one.")


async def show(ctx: RequestContext, variant: VariantSpec, client: EngineClient, path: str) -> None:
    """Pass on the engine's page at ``path``; this does not keep the engine from being unloaded."""
    ctx.record.model, ctx.record.variant = variant.model, variant.label
    ctx.response.keep_pages()
    headers = to_look(ctx.request.headers)
    headers["Connection"] = "close"
    async with await client.look(path, headers, ctx.request.method) as upstream:
        ctx.response.decided = {"X-Gateway-Variant": variant.label}
        await relay(upstream, ctx.response, Tally())
