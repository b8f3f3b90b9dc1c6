"""The order to try a route: what it asks, and what is told of the decision. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multidict import CIMultiDict

from models.requests.endpoints import BY_PATH
from models.routing.asked import Asked, read_asked
from models.routing.needed import RouteNeeded
from server.admin.params import params_in
from server.headers import CONVERSATION
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from models.catalog import Catalog
    from models.routing.decide import Decision

    # Decides for a request by the name in it, what it asks, and the hour, None for now.
    Decide = Callable[[str | None, Asked, int | None], Awaitable[Decision]]

_CHAT = "/v1/chat/completions"
_LAST_HOUR = 23


class RouteOrder(NamedTuple):
    """A request to ``path``, and what else is known of it; ``hour`` is None for now."""

    request: dict[str, Any]
    path: str
    headers: CIMultiDict[str]
    tier: str
    hour: int | None


def read_order(body: bytes) -> RouteOrder:
    """Return the order in the body of an admin request, or raise BadRequest."""
    params = params_in(body)
    order = RouteOrder(
        params.table("request", 'the request: {"request": {"model": "auto", …}}'),
        params.text_or("path", _CHAT),
        CIMultiDict(params.texts("headers")),
        params.text_or("tier", ""),
        params.number("hour", _LAST_HOUR),
    )
    params.end()
    return order


async def tried(order: RouteOrder, catalog: Catalog, decide: Decide, key: str) -> dict[str, Any]:
    """Return what is decided for the order, as JSON values; raise what a request would get.

    ``key`` stands for the conversation of a request that names none.
    """
    endpoint = BY_PATH.get(order.path)
    if endpoint is None:
        raise BadRequest(f"'path' is no endpoint of models: {order.path}.", param="path")
    named = order.request.get("model")
    if named is not None and not isinstance(named, str):
        raise BadRequest("'model' must be a string.", param="model")
    try:
        model = catalog.asked(endpoint, order.request, named or None)
    except RouteNeeded as needed:
        asked = read_asked(endpoint, order.request)._replace(
            headers=order.headers, tier=order.tier, key=order.headers.get(CONVERSATION) or key
        )
        found = await decide(needed.name, asked, order.hour)
        return {
            "route": found.route,
            "model": found.models[0],
            "then": list(found.models[1:]),
            "reason": found.reason,
            "prompt_tokens": asked.tokens,
            "needs": sorted(asked.needs),
        }
    return {"route": None, "model": model.name, "then": [], "reason": "it names this model"}
