"""``RoutingHandlers``: try a route without an answer, and switch the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from models.requests.endpoints import BY_PATH
from models.routing.asked import read_asked
from models.routing.needed import RouteNeeded
from server.admin.params import params_in
from server.headers import CONVERSATION
from server.uploads.body import read_body
from utils.errors import BadRequest

if TYPE_CHECKING:
    from server.middleware import RequestContext
    from server.router import Router

_CHAT = "/v1/chat/completions"
_PROFILE = 'the profile: {"profile": "night"}, or {"profile": "none"}'
_NONE = "none"
_LARGEST_ORDER = 64 * 1024
_LAST_HOUR = 23


class RoutingHandlers:
    """Answers on the admin paths about routes; the middleware has already checked the token."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def route(self, ctx: RequestContext) -> None:
        """Answer which models a request would go to, and why; nothing is started for it.

        The body has the ``request``, and may have its ``path``, ``headers``, ``tier`` and ``hour``.
        """
        params = params_in(await read_body(ctx))
        request = params.table("request", 'the request: {"request": {"model": "auto", …}}')
        path = params.text_or("path", _CHAT)
        headers = CIMultiDict(params.texts("headers"))
        tier, hour = params.text_or("tier", ""), params.number("hour", _LAST_HOUR)
        params.end()
        endpoint = BY_PATH.get(path)
        if endpoint is None:
            raise BadRequest(f"'path' is no endpoint of models: {path}.", param="path")
        named = request.get("model")
        if named is not None and not isinstance(named, str):
            raise BadRequest("'model' must be a string.", param="model")
        try:
            model = ctx.configuration.catalog.asked(endpoint, request, named or None)
        except RouteNeeded as needed:
            asked = read_asked(endpoint, request)._replace(
                headers=headers, tier=tier, key=headers.get(CONVERSATION) or ctx.record.id
            )
            found = await self._router.decide(ctx, needed.name, asked, hour)
            told: dict[str, Any] = {
                "route": found.route,
                "model": found.models[0],
                "then": list(found.models[1:]),
                "reason": found.reason,
                "prompt_tokens": asked.tokens,
                "needs": sorted(asked.needs),
            }
            await ctx.json(told)
            return
        await ctx.json(
            {"route": None, "model": model.name, "then": [], "reason": "it names this model"}
        )

    async def profile(self, ctx: RequestContext) -> None:
        """Answer with the active profile and all that rules name; a POST switches it first."""
        if ctx.request.method == "POST":
            params = params_in(await read_body(ctx, _LARGEST_ORDER))
            profile = params.text("profile", _PROFILE)
            params.end()
            self._router.switch(ctx.configuration, "" if profile == _NONE else profile)
        profiles = self._router.profiles(ctx.configuration)
        await ctx.json({"profile": self._router.profile or None, "profiles": profiles})
