"""``LmStudioHandlers``: the pages of LM Studio's API about models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.codecs.lm_studio import model_page, models_page
from server.known_models import known, listed

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from models.spec import VariantSpec
    from server.middleware import RequestContext


class LmStudioHandlers:
    """Answers on the paths of LM Studio's API; its chats are OpenAI's."""

    def __init__(self, manager: EngineManager) -> None:
        self._manager = manager

    async def models(self, ctx: RequestContext) -> None:
        """Answer with every configured model, loaded or not."""
        await ctx.json(models_page(await known(ctx, listed(ctx), brief=True), self._loaded()))

    async def model(self, ctx: RequestContext) -> None:
        """Answer with the model that the path names; raise ModelNotFound if there is none."""
        model = ctx.configuration.catalog.find(ctx.name)
        [found] = await known(ctx, [(ctx.name or model.name, model)])
        await ctx.json(model_page(found, self._loaded()))

    def _loaded(self) -> dict[str, VariantSpec]:
        return {variant.model: variant for variant, _ in self._manager.ready()}
