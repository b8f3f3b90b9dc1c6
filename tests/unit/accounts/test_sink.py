"""accounts/sink.py: where an answer tells its price. For the rest see tests/gateway."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from accounts.money import FREE
from accounts.parties import Account, Key
from accounts.sink import PayingSink, with_cost
from accounts.ticket import Ticket
from accounts.tiers import Tier
from engine.scheduling.queue import Priority
from inference.call import AnswerCut, Outlet
from inference.usage import Tally

COUNTS = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (COUNTS, {"cost": 1.5, **COUNTS}),
        ({**COUNTS, "cost": 9}, {"cost": 1.5, **COUNTS, "upstream_cost": 9}),
        ({}, {}),
    ],
)
def test_the_price_stands_beside_the_counts(usage: Any, told: Any) -> None:
    said = {"content": '"usage": {"prompt_tokens": 1}, "cost": 2'}
    text = json.dumps({"message": said, "usage": usage}).encode()
    assert json.loads(with_cost(text, 1_500_000_000)) == {"message": said, "usage": told}


async def _nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("pieces", [["abc"], ["ab", "c"], ["a", "b", "c"], ["abcd"]])
async def test_a_client_gets_what_is_paid_and_no_empty_piece(pieces: list[str]) -> None:
    """However the events come, the first two of them are paid for."""
    got: list[bytes] = []

    def put(chunk: bytes) -> bool:
        got.append(chunk)
        return True

    inner: Any = SimpleNamespace(decided={}, outlet=lambda: Outlet(put, _nothing))
    account = Account(1, "a", Tier("payg", pays=True), "active", Priority.NORMAL, base=1)
    price = FREE._replace(output=1)
    ticket = Ticket(Key(1, account, "k", "sk", frozenset()), "r", price, 1, 0)
    account.held = 1
    tally = Tally()
    call: Any = SimpleNamespace(record=SimpleNamespace(tally=tally))
    sink = PayingSink(inner, {}, call, ticket, 1, _nothing, lambda: 0)
    outlet = sink.outlet()
    assert outlet is not None
    take = tally.between(lambda _chunk: None, outlet.put)
    events = ["".join(f"data: {name}\n\n" for name in piece).encode() for piece in pieces]
    assert [take(chunk) for chunk in events] == [True] * (len(pieces) - 1) + [False]
    assert b"".join(got) == b"data: a\n\ndata: b\n\n"
    assert b"" not in got
    with pytest.raises(AnswerCut):
        await outlet.drained()
