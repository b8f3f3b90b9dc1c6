"""Decide on a request in one step: everything is checked, then everything is taken. Pure.

There is no ``await`` between the checks and the taking, so requests that come together cannot pass
one check together; and a refusal takes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from accounts.keys import allows
from accounts.ticket import Ticket
from utils.errors import InsufficientQuota, ModelNotPermitted, NotPermitted, RateLimited

if TYPE_CHECKING:
    from accounts.money import Price
    from accounts.parties import Key, Limits

_SECOND = 10**9
ACTIVE = "active"


class Now(NamedTuple):
    """The time: nanoseconds of a clock that never goes back, and milliseconds since 1970."""

    monotonic: int
    wall: int


class Ask(NamedTuple):
    """What a request wants.

    ``tokens`` are those of its prompt and of the answer that is held for. ``amount`` is what these
    cost; None where nothing is paid. ``context`` is that of the variant. ``begun``: other parts of
    the request were admitted before, and it counts once.
    """

    request_id: str
    model: str
    tokens: int
    amount: int | None
    price: Price
    context: int = 0
    begun: bool = False


def admit(key: Key, ask: Ask, now: Now) -> Ticket:
    """Take what the request needs, or raise a GatewayError and take nothing.

    The errors: NotPermitted, RateLimited and InsufficientQuota.
    """
    _permit(key, ask.model, ask.context)
    _check_limits(key, ask, now)
    if ask.amount is not None:
        _afford(key, ask.amount, now.wall)
    # From here on nothing fails.
    time, tokens, amount, account = now.monotonic, ask.tokens, ask.amount, key.account
    for limits in (key.limits, account.limits):
        limits.active += 1
        if limits.requests is not None and not ask.begun:
            limits.requests.take(time)
        if limits.tokens is not None:
            limits.tokens.take(time, tokens)
        if amount is not None:
            limits.budget.held += amount
    if amount is not None:
        account.held += amount
    return Ticket(key, ask.request_id, ask.price, amount, tokens)


def affordable(key: Key, now: int) -> int:
    """Return how much money a further request of the key may hold."""
    left = [key.account.available]
    left += [b for limits in _both(key) if (b := limits.budget.left(now)) is not None]
    return min(left)


def headers_of(key: Key, now: int) -> dict[str, str]:
    """Return the headers that tell how much is left of the limits, as OpenAI's.

    Of the key's limit and the account's, the one with less left is told.
    """
    told: dict[str, str] = {}
    own, shared = key.limits, key.account.limits
    for kind, buckets in (
        ("requests", (own.requests, shared.requests)),
        ("tokens", (own.tokens, shared.tokens)),
    ):
        levels = [bucket.level(now) for bucket in buckets if bucket is not None]
        if levels:
            level = levels[0] if len(levels) == 1 else min(levels, key=lambda one: one.remaining)
            told[f"x-ratelimit-limit-{kind}"] = str(level.limit)
            told[f"x-ratelimit-remaining-{kind}"] = str(level.remaining)
            told[f"x-ratelimit-reset-{kind}"] = f"{round(level.reset / _SECOND, 3):g}s"
    return told


def _permit(key: Key, model: str, context: int) -> None:
    account = key.account
    if account.status != ACTIVE:
        raise NotPermitted(f"The account is {account.status}.")
    if not key.may("inference"):
        raise NotPermitted("The key has no right to ask models (scope 'inference').")
    for models in (key.models, account.models):
        if models is not None and not allows(models, model):
            raise ModelNotPermitted(f"The key may not use the model '{model}'.", param="model")
    if key.max_context is not None and context > key.max_context:
        raise NotPermitted(
            f"The request needs a context of {context} tokens; the key may use {key.max_context}."
        )


def _check_limits(key: Key, ask: Ask, now: Now) -> None:
    time = now.monotonic
    for limits in (key.limits, key.account.limits):
        if not ask.begun:
            if limits.concurrency is not None and limits.active >= limits.concurrency:
                raise RateLimited(
                    f"{limits.concurrency} requests at the same time are the limit.",
                    1.0,
                    headers_of(key, time),
                )
            if limits.requests is not None and (wait := limits.requests.wait(time)) > 0:
                raise _limited("requests", wait, key, now)
        if limits.tokens is not None and (wait := limits.tokens.wait(time, ask.tokens)) > 0:
            raise _limited("tokens", wait, key, now)


def _afford(key: Key, amount: int, now: int) -> None:
    account = key.account
    for limits in (key.limits, account.limits):
        budget = limits.budget
        if budget.amount is None:
            continue
        left = budget.left(now)
        if left is not None and (left < amount or left <= 0):
            of = "key" if limits is key.limits else "account"
            when = f" of this {budget.period}" if budget.period else ""
            raise InsufficientQuota(f"The budget{when} of the {of} is used up.")
    if amount and account.available < amount:
        raise InsufficientQuota("The balance of the account is too small for this request.")


def _both(key: Key) -> tuple[Limits, Limits]:
    return key.limits, key.account.limits


def _limited(kind: str, wait: int, key: Key, now: Now) -> RateLimited:
    seconds = wait / _SECOND
    message = f"The limit of {kind} in a minute is reached; try again in {seconds:.1f} s."
    return RateLimited(message, seconds, headers_of(key, now.monotonic))
