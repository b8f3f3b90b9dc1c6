"""The way of a request through several gateways, so that none meets it twice.

Each gateway adds its own id to a header when it sends a request to a peer, and refuses to send one
on that it has sent before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

from utils.errors import LoopDetected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import ModelSpec
    from server.middleware import RequestContext

HOPS = "X-Gateway-Hops"
_PRIORITY = "X-Priority"
# More gateways in a row help nobody.
_MOST = 8


def headers_for(
    ctx: RequestContext, model: ModelSpec, headers: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the headers for the model's engine; raise LoopDetected for a peer in a circle.

    A peer also gets the request's priority, for its queue.
    """
    known = ctx.request.headers
    if model.peer is None:
        return headers
    # The beginning of every request's id here.
    gateway = ctx.record.id.rpartition("-")[0]
    hops = [hop.strip() for hop in known.get(HOPS, "").split(",") if hop.strip()]
    if gateway in hops or len(hops) >= _MOST:
        raise LoopDetected(
            f"The request for '{model.name}' came by this gateway before; it is not sent on again."
        )
    told = CIMultiDict(headers)
    told[HOPS] = ", ".join([*hops, gateway])
    if ctx.configuration.settings.priority_header and _PRIORITY in known:
        told[_PRIORITY] = known[_PRIORITY]
    return told
