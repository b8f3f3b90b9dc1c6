"""The way of a request through several gateways, so that none meets it twice.

Each gateway adds its own id to a header when it sends a request to a peer, and refuses to send one
on that it has sent before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

from engine.scheduling.queue import Priority
from server.headers import CONVERSATION
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
    ctx: RequestContext, model: ModelSpec, headers: Mapping[str, str], *, stream: bool
) -> Mapping[str, str]:
    """Return the headers for the model's engine; raise LoopDetected for a peer in a circle.

    A peer also gets the request's priority, for its queue, and the conversation that it belongs to.
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
    if (priority := ctx.priority()) is not Priority.NORMAL:
        told[_PRIORITY] = priority.name.lower()
    # A stream under this name goes on when its client leaves: that is for the client to ask.
    if not stream and CONVERSATION in known:
        told[CONVERSATION] = known[CONVERSATION]
    return told


def headers_again(
    ctx: RequestContext, model: ModelSpec, headers: Mapping[str, str], *, stream: bool
) -> Mapping[str, str]:
    """Return the headers for another model's engine than that which they were made for.

    It gets no key of the client, and nothing that only a peer gets; the errors are the same.
    """
    own = {HOPS, _PRIORITY} | (set() if stream else {CONVERSATION})
    if model.name not in ctx.configuration.with_client_key:
        own.add("Authorization")
    plain = CIMultiDict(headers)
    for name in own:
        plain.popall(name, None)
    return headers_for(ctx, model, plain, stream=stream)
