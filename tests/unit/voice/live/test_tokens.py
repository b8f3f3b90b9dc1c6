"""Sessions by their tokens: whose they are, how many, and until when."""

from __future__ import annotations

import pytest

from utils.errors import RateLimited
from voice.live.options import LiveOptions
from voice.live.tokens import Ticket, Tickets


def ticket(token: str, owner: str = "me", until: float = 100.0) -> Ticket:
    return Ticket(token, owner, None, LiveOptions("m"), "", "", until)


def test_a_session_belongs_to_its_owner_and_opens_once() -> None:
    tickets, mine = Tickets(), ticket("a")
    tickets.add(mine, 0, 9, 9)
    assert tickets.find("a", "me", 1) is mine
    assert tickets.find("a", "you", 1) is None
    assert tickets.find("b", "me", 1) is None
    assert tickets.redeem("a", 1) is mine
    assert tickets.redeem("a", 1) is None
    # It is there until its websocket closes, even if its time is over.
    assert tickets.find("a", "me", 101) is mine
    assert tickets.has(mine)
    tickets.remove(mine)
    tickets.remove(mine)
    assert not tickets.has(mine)
    assert tickets.find("a", "me", 1) is None


def test_a_token_expires() -> None:
    tickets = Tickets()
    tickets.add(ticket("a", until=10), 0, 9, 9)
    assert tickets.redeem("a", 10) is None
    assert len(tickets) == 0


def test_there_are_only_so_many() -> None:
    tickets = Tickets()
    tickets.add(ticket("a", until=10), 0, most=3, most_of_one=2)
    tickets.add(ticket("b"), 0, most=3, most_of_one=2)
    with pytest.raises(RateLimited, match="2 live sessions of yours"):
        tickets.add(ticket("c"), 0, most=3, most_of_one=2)
    tickets.add(ticket("c", "you"), 0, most=3, most_of_one=2)
    with pytest.raises(RateLimited, match="3 live sessions are open"):
        tickets.add(ticket("d", "they"), 0, most=3, most_of_one=2)
    # One of them has expired.
    tickets.add(ticket("d"), 11, most=3, most_of_one=2)
