"""accounts/charging.py: who pays for what."""

from __future__ import annotations

from typing import Any

import pytest
from builders import variant
from calls import call_of

from accounts.charging import Charge, charge_of, is_charged
from accounts.money import Price
from inference.call import Call, CallRecord
from inference.usage import Usage
from models.requests.endpoints import AUXILIARY, CHAT, EMBEDDINGS, PASSTHROUGH, Endpoint
from models.requests.reader import RequestFacts
from models.spec import ModelSpec

# A nano-unit for a token of the prompt, two for one of the answer.
PRICE = Price(10**6, 0, 2 * 10**6, per_request=5)
COUNTED = Usage(100, 20, 40)
SO_FAR = Usage(100, 7, None, estimated=True)


def call(endpoint: Endpoint = CHAT, method: str = "POST", **record: Any) -> Call:
    facts = RequestFacts(CHAT, b"{}", "m", stream=True, max_output=None)
    made = variant(256)
    model = ModelSpec(name=made.model, variants=(made,))
    called = call_of(model, facts, record=CallRecord(started=0.0, **record), method=method)
    called.facts = facts._replace(endpoint=endpoint)
    return called


@pytest.mark.parametrize(
    ("record", "usage", "cut", "expected"),
    [
        ({"answered": True}, COUNTED, False, Charge("complete", 100, 40, 20, "engine", 105)),
        ({"left": True}, SO_FAR, False, Charge("left", 100, 0, 7, "gateway", 119)),
        ({"left": True}, Usage(), False, Charge("left", counted="gateway")),
        ({}, SO_FAR, True, Charge("cut", 100, 0, 7, "gateway", 119)),
        ({"left": True, "cancelled": True}, SO_FAR, False, Charge("cancelled")),
        ({}, SO_FAR, False, Charge("failed")),
        ({"answered": True, "refused": True}, Usage(), False, Charge("failed")),
        # An answer that goes on without its client is complete in the end.
        (
            {"left": True, "answered": True},
            COUNTED,
            False,
            Charge("complete", 100, 40, 20, "engine", 105),
        ),
        # An engine that does not count.
        (
            {"answered": True, "prompt": 90},
            Usage(),
            False,
            Charge("complete", 90, 0, 0, "gateway", 95),
        ),
    ],
)
def test_who_pays_for_what(
    record: dict[str, Any], usage: Usage, cut: bool, expected: Charge
) -> None:
    assert charge_of(call(**record), usage, PRICE, cut=cut) == expected
    free = charge_of(call(**record), usage, None, cut=cut)
    assert free == expected._replace(cost=0)


def test_an_engine_that_does_not_count_is_counted_by_its_events() -> None:
    asked = call(answered=True, prompt=90)
    asked.record.tally.add(b'data: {"role"}\n\ndata: {"a"}\n\ndata: {"b"}\n\n')
    assert charge_of(asked, Usage(), PRICE) == Charge("complete", 90, 0, 2, "gateway", 99)


@pytest.mark.parametrize(
    ("endpoint", "method", "charged"),
    [
        (CHAT, "POST", True),
        (EMBEDDINGS, "POST", True),
        (AUXILIARY, "POST", False),
        (PASSTHROUGH, "GET", False),
        (PASSTHROUGH, "POST", True),
    ],
)
def test_what_is_charged(endpoint: Endpoint, method: str, charged: bool) -> None:
    asked = call(endpoint, method, answered=True)
    assert is_charged(asked) is charged
    assert (charge_of(asked, COUNTED, PRICE).cost > 0) is charged
