"""The life of an admitted request: what it holds, how that grows, and how it is given back. Pure.

A ticket is open until it is settled, which happens once. Money that it holds can grow while the
answer does; what it cost is then pending until the database has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounts.money import Price
    from accounts.parties import Key


class AlreadySettled(RuntimeError):
    """A request was to be settled twice: a bug in the gateway."""


class Ticket:
    """What one admitted request has taken.

    ``held`` is the money that it holds; None where nothing is paid. ``tokens`` were taken from the
    limits of tokens. ``cut``: its answer ended because there was no more money.
    """

    __slots__ = ("cut", "held", "key", "price", "request_id", "settled", "tokens")

    def __init__(
        self, key: Key, request_id: str, price: Price, held: int | None, tokens: int
    ) -> None:
        self.key = key
        self.request_id = request_id
        self.price = price
        self.held = held
        self.tokens = tokens
        self.cut = False
        self.settled = False

    def grow(self, amount: int, now: int) -> bool:
        """Hold so much more; return False, and hold no more, if there is not so much."""
        if self.held is None:
            return True
        account = self.key.account
        both = self.key.limits, account.limits
        if account.available < amount:
            return False
        for limits in both:
            left = limits.budget.left(now)
            if left is not None and left < amount:
                return False
        for limits in both:
            limits.budget.held += amount
        account.held += amount
        self.held += amount
        return True

    def settle(self, cost: int, tokens: int, monotonic: int, wall: int) -> None:
        """Give back what is held and take what the answer cost; raise AlreadySettled the 2nd time.

        ``tokens`` are those of prompt and answer.
        """
        if self.settled:
            raise AlreadySettled(self.request_id)
        self.settled = True
        account, held = self.key.account, self.held or 0
        more = tokens - self.tokens
        for limits in (self.key.limits, account.limits):
            limits.active -= 1
            if limits.tokens is not None:
                if more > 0:
                    limits.tokens.take(monotonic, more)
                else:
                    limits.tokens.give_back(-more)
            budget = limits.budget
            if wall >= budget.until:
                budget.roll(wall)
            budget.held -= held
            budget.spent += cost
        account.held -= held
        account.pending += cost
