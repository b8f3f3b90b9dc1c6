"""Money: whole nano-units, and the price of an answer. Pure.

A nano-unit is a billionth of the currency, so that a token of 0.0001 per thousand costs exactly
100. Amounts are integers everywhere; people and JSON see decimal text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

NANO = 10**9
# What a column of 64 bits holds.
LARGEST = 2**63 - 1
_MILLION = 10**6


def to_nano(amount: str | float) -> int:
    """Return a decimal amount, such as ``12.5``, in nano-units.

    ValueError where it is no number, finer than a nano-unit or too large.
    """
    try:
        # A float is meant as it is written: 0.1 is a tenth.
        nano = Decimal(amount if isinstance(amount, str) else repr(amount)) * NANO
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount of money") from None
    if not nano.is_finite() or nano != nano.to_integral_value():
        raise ValueError(f"{amount!r} is not an amount in billionths")
    if abs(nano) > LARGEST:
        raise ValueError(f"{amount!r} is too large")
    return int(nano)


def as_text(nano: int) -> str:
    """Return nano-units as decimal text: ``12.5``, ``-0.0001``, ``0``."""
    units, rest = divmod(abs(nano), NANO)
    text = f"{units}.{rest:09}".rstrip("0").rstrip(".")
    return f"-{text}" if nano < 0 else text


class Price(NamedTuple):
    """What a model costs: nano-units for a million tokens, and for each request.

    ``cached`` is for tokens of the prompt that the engine had read before. ``id`` is the row of the
    price in the database; None for one of the configuration.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    per_request: int = 0
    id: int | None = None

    def cost(self, prompt: int, completion: int, cached: int = 0) -> int:
        """Return what an answer costs in nano-units; a part of one counts as one."""
        cached = min(cached, prompt)
        total = (prompt - cached) * self.input + cached * self.cached + completion * self.output
        return self.per_request - (-total // _MILLION)

    def tokens_for(self, money: int) -> int:
        """Return how many tokens of an answer this much money pays for, the prompt apart."""
        return LARGEST if not self.output else max(0, money) * _MILLION // self.output

    def tokens_cost(self, tokens: int) -> int:
        """Return what so many tokens of an answer cost, the rest of it apart."""
        return -(-tokens * self.output // _MILLION)

    def bound(self, prompt: int, completion: int) -> int:
        """Return the most that an answer of this size can cost."""
        dearest = self._replace(input=max(self.input, self.cached), cached=0)
        return dearest.cost(prompt, completion)


FREE = Price()
