"""accounts/sink.py: where an answer tells its price. For the rest see tests/gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.sink import with_cost

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
