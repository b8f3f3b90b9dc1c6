"""accounts/ticket.py: a request is settled once. For its life see test_money_of_requests.py."""

from __future__ import annotations

import pytest

from accounts.money import FREE
from accounts.parties import Account, Budget, Key, Limits
from accounts.ticket import AlreadySettled, Ticket
from accounts.tiers import Tier
from engine.scheduling.queue import Priority


def ticket(held: int | None = 10, *, base: int = 100, budget: int | None = None) -> Ticket:
    account = Account(1, "a", Tier("payg", pays=True), "active", Priority.NORMAL, base=base)
    account.held = held or 0
    key = Key(1, account, "k", "sk", frozenset(), limits=Limits(budget=Budget(budget, held=10)))
    return Ticket(key, "r", FREE, held, 0)


def test_a_request_is_settled_once() -> None:
    one = ticket()
    one.settle(7, 0, 0, 0)
    assert (one.key.account.held, one.key.account.pending) == (0, 7)
    with pytest.raises(AlreadySettled):
        one.settle(7, 0, 0, 0)
    assert one.key.account.pending == 7


def test_more_is_held_only_where_there_is_more() -> None:
    one = ticket()
    assert one.grow(90, 0)
    assert not one.grow(1, 0)
    assert one.held == one.key.account.held == 100
    limited = ticket(budget=15)
    assert not limited.grow(6, 0)
    assert limited.grow(5, 0)
    assert limited.key.limits.budget.held == 15
