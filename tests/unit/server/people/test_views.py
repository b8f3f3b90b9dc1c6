"""server/people/views.py: rows as JSON."""

from __future__ import annotations

import pytest

from accounts.limits import Level
from accounts.parties import Budget
from server.people.views import (
    budget_view,
    day_in,
    day_text,
    level_view,
    price_row,
    shown,
    today,
    usage_row,
)
from utils.errors import BadRequest

UNIT = 10**9


def test_money_is_text_and_times_are_seconds() -> None:
    row = {
        "id": 1,
        "balance": 3 * UNIT // 2,
        "budget": None,
        "models": '["a"]',
        "scopes": "inference read",
        "created_at": 1500,
        "oidc_subject": "x",
    }
    assert shown(row) == {
        "id": 1,
        "balance": "1.5",
        "budget": None,
        "models": ["a"],
        "scopes": ["inference", "read"],
        "created_at": 1.5,
    }
    price = {"model": "m", "input": UNIT, "cached": 0, "output": 2 * UNIT, "per_request": 1}
    assert price_row(price) == {
        "model": "m",
        "input": "1",
        "cached": "0",
        "output": "2",
        "per_request": "0.000000001",
    }


def test_usage_names_its_keys() -> None:
    row = {"day": 20_000, "key_id": 0, "account_id": 7, "prompt": 5, "cost": 1, "load_ms": 1500}
    assert usage_row(row, {}, {7: "Ada"}) == {
        "day": "2024-10-04",
        "key_id": None,
        "key": None,
        "account_id": 7,
        "account": "Ada",
        "prompt_tokens": 5,
        "cost": "0.000000001",
        "load_seconds": 1.5,
    }


def test_days() -> None:
    assert today(20_000 * 86_400_000 + 5) == 20_000
    assert day_in({"from": day_text(19_999)}, "from", 1) == 19_999
    assert day_in({}, "from", 1) == 1
    with pytest.raises(BadRequest):
        day_in({"from": "yesterday"}, "from", 1)


def test_limits() -> None:
    assert level_view(None) is None
    assert level_view(Level(25, 24, 2_400_000_000)) == {
        "limit": 25,
        "remaining": 24,
        "reset_seconds": 2.4,
    }
    assert budget_view(Budget(), 0) is None
    assert budget_view(Budget(2 * UNIT, "day", spent=UNIT, until=10), 5) == {
        "amount": "2",
        "period": "day",
        "spent": "1",
        "left": "1",
    }
