"""``RoutingHandlers``: try a route without an answer, and switch the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.admin.params import params_in
from server.admin.route_order import read_order, tried
from server.uploads.body import read_body

if TYPE_CHECKING:
    from models.routing.asked import Asked
    from models.routing.decide import Decision
    from server.middleware import RequestContext
    from server.router import Router

_PROFILE = 'the profile: {"profile": "night"}, or {"profile": "none"}'
_NONE = "none"
_LARGEST_ORDER = 64 * 1024


class RoutingHandlers:
    """Answers on the admin paths about routes; the middleware has already checked the token."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def route(self, ctx: RequestContext) -> None:
        """Answer which models a request would go to, and why; nothing is started for it.

        The body has the ``request``, and may have its ``path``, ``headers``, ``tier`` and ``hour``.
        """
        order = read_order(await read_body(ctx))

        async def decide(name: str | None, asked: Asked, hour: int | None) -> Decision:
            return await self._router.decide(ctx, name, asked, hour)

        await ctx.json(await tried(order, ctx.configuration.catalog, decide, ctx.record.id))

    async def profile(self, ctx: RequestContext) -> None:
        """Answer with the active profile and all that rules name; a POST switches it first."""
        if ctx.request.method == "POST":
            params = params_in(await read_body(ctx, _LARGEST_ORDER))
            profile = params.text("profile", _PROFILE)
            params.end()
            await self._router.switch(ctx.configuration, "" if profile == _NONE else profile)
        profiles = self._router.profiles(ctx.configuration)
        await ctx.json({"profile": self._router.profile or None, "profiles": profiles})
