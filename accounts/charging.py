"""What a request costs, by how it ended. Pure.

A complete answer costs what the engine counted. Where the client has left, or where there was no
more money, the prompt that was read and the tokens that were relayed are paid. What fails in the
engine or the gateway, and what an operator cancels, costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.requests.endpoints import PASSTHROUGH

if TYPE_CHECKING:
    from accounts.money import Price
    from inference.call import Call
    from inference.usage import Usage

COMPLETE, CUT, LEFT, CANCELLED, FAILED = "complete", "cut", "left", "cancelled", "failed"


class Charge(NamedTuple):
    """The tokens of a request, who counted them, what they cost, and how the request ended."""

    ended: str
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    counted: str = "engine"
    cost: int = 0


def is_charged(call: Call) -> bool:
    """Return whether the answer may cost something.

    Of what the gateway does not know, only requests that send something can be work for a model.
    """
    endpoint = call.facts.endpoint
    return endpoint.charged or (endpoint is PASSTHROUGH and call.method == "POST")


def charge_of(call: Call, usage: Usage, price: Price | None, *, cut: bool = False) -> Charge:
    """Return what the call has used, and what that costs; ``price`` is None where it is free."""
    record = call.record
    ended = _end(call, cut=cut)
    if ended in (CANCELLED, FAILED):
        return Charge(ended)
    prompt, completion, counted = usage.prompt, usage.completion, "engine"
    if ended != COMPLETE:
        counted = "gateway"
    elif prompt is None and call.facts.endpoint.sized:
        # The engine said nothing, so the gateway's own count is taken.
        prompt, counted = record.prompt, "gateway"
    if completion is None and ended == COMPLETE and call.facts.endpoint.generates:
        completion, counted = max(0, record.tally.events - 1), "gateway"
    found = Charge(ended, prompt or 0, usage.cached or 0, completion or 0, counted)
    if price is None or not is_charged(call):
        return found
    if ended != COMPLETE and usage.prompt is None:
        # The engine had not begun.
        return found
    return found._replace(cost=price.cost(found.prompt, found.completion, found.cached))


def _end(call: Call, *, cut: bool) -> str:
    record = call.record
    if record.cancelled:
        return CANCELLED
    if cut:
        return CUT
    if record.answered:
        return FAILED if record.refused else COMPLETE
    return LEFT if record.left else FAILED
