"""``StatusPages``: the pages that the gateway answers itself, without an engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.status import health_view, model_view, models_view

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from server.middleware import RequestContext


class StatusPages:
    """Shows the models and the gateway's health."""

    def __init__(self, manager: EngineManager) -> None:
        self._manager = manager
        self._created = int(time.time())

    async def models(self, ctx: RequestContext) -> None:
        """Answer with every configured model, loaded or not."""
        catalog, able = ctx.configuration.catalog, ctx.configuration.able
        await ctx.json(models_view(catalog, able, self._manager.records(), self._created))

    async def model(self, ctx: RequestContext) -> None:
        """Answer with the model that the path names; raise ModelNotFound if there is none."""
        model = ctx.configuration.catalog.find(ctx.name)
        able, records = ctx.configuration.able, self._manager.records()
        await ctx.json(model_view(model, able, records, self._created))

    async def health(self, ctx: RequestContext) -> None:
        """Answer with the gateway's state and that of each engine."""
        records, waiting = self._manager.records(), self._manager.waiting()
        await ctx.json(health_view(records, waiting, closing=ctx.closing))
