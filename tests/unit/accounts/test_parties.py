"""accounts/parties.py: periods of budgets, and what a change of limits keeps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts.limits import MINUTE
from accounts.parties import Budget, Limits, bounds


def ms(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc] # year, month, …


@pytest.mark.parametrize(
    ("period", "at", "first", "following"),
    [
        ("day", ms(2026, 2, 28, 23, 59), ms(2026, 2, 28), ms(2026, 3, 1)),
        ("week", ms(2026, 11, 22, 12), ms(2026, 11, 16), ms(2026, 11, 23)),
        ("month", ms(2026, 12, 31, 23), ms(2026, 12, 1), ms(2027, 1, 1)),
        ("month", ms(2026, 1, 31), ms(2026, 1, 1), ms(2026, 2, 1)),
        (None, ms(2026, 1, 1), 0, 2**62),
    ],
)
def test_periods(period: str | None, at: int, first: int, following: int) -> None:
    assert bounds(period, at) == (first, following)
    assert bounds(period, first) == (first, following)


def test_what_was_spent_before_the_period_is_forgotten() -> None:
    budget = Budget(100, "day", spent=90, since=ms(2026, 1, 1))
    assert budget.left(ms(2026, 1, 1, 5)) == 10
    assert budget.left(ms(2026, 1, 2)) == 100
    # The clock goes back: no period begins anew.
    budget.spent = 60
    assert budget.left(ms(2026, 1, 1, 5)) == 40
    assert Budget().left(0) is None


def test_limits_can_be_set_changed_and_taken_away() -> None:
    limits = Limits()
    limits.change(10, 100, 2, 0)
    assert limits.requests is not None
    limits.requests.take(0, 10)
    limits.change(20, None, None, 0)
    assert limits.requests.wait(0) == 0
    assert limits.requests.level(0).remaining == 10
    assert limits.tokens is None
    limits.change(None, None, None, MINUTE)
    assert limits.requests is None
