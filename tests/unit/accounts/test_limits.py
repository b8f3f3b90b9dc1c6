"""accounts/limits.py: a bucket against a model in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from accounts.limits import MINUTE, Bucket, Level

SECOND = 10**9


def test_all_of_a_limit_can_be_taken_at_once() -> None:
    """By floats it was 24 of 25."""
    bucket, now = Bucket(25), 123_456_789_012_345
    for left in range(24, -1, -1):
        assert bucket.wait(now) == 0
        bucket.take(now)
        assert bucket.level(now).remaining == left
    assert bucket.wait(now) == MINUTE // 25
    assert bucket.level(now) == Level(25, 0, MINUTE)


def test_what_a_refused_request_asked_for_is_not_taken() -> None:
    bucket = Bucket(1)
    bucket.take(0)
    assert bucket.wait(0) == bucket.wait(0) == MINUTE
    assert bucket.wait(MINUTE) == 0


def test_more_than_the_bucket_holds_is_let_through_when_it_is_full() -> None:
    bucket = Bucket(100)
    assert bucket.wait(0, 1000) == 0
    bucket.take(0, 1000)
    # What is too much is waited for.
    assert bucket.wait(0, 1) == 9 * MINUTE + MINUTE // 100
    bucket.give_back(950)
    assert bucket.level(0).remaining == 50


@pytest.mark.parametrize(("before", "after"), [(10, 100), (100, 10)])
def test_another_limit_keeps_what_was_taken(before: int, after: int) -> None:
    bucket, now = Bucket(before), 5 * MINUTE
    bucket.take(now, 8)
    bucket.change(after, now)
    assert bucket.level(now) == Level(after, after - 8, MINUTE * 8 // after)


class AgainstFractions(RuleBasedStateMachine):
    """The bucket and its contents in exact numbers."""

    @initialize(limit=st.integers(1, 10**6), now=st.integers(0, 10**18))
    def begin(self, limit: int, now: int) -> None:
        self.bucket = Bucket(limit)
        self.limit, self.now = limit, now
        self.inside = Fraction(limit)

    @rule(passed=st.one_of(st.integers(0, 100), st.integers(0, 2 * MINUTE)))
    def later(self, passed: int) -> None:
        self.now += passed
        refilled = self.inside + Fraction(passed * self.limit, MINUTE)
        self.inside = min(Fraction(self.limit), refilled)

    @rule(units=st.integers(1, 10**6))
    def ask(self, units: int) -> None:
        wait = self.bucket.wait(self.now, units)
        wanted = min(units, self.limit)
        assert (wait == 0) == (self.inside >= wanted)
        assert wait - 1 < (wanted - self.inside) * MINUTE / self.limit or not wait
        if not wait:
            self.bucket.take(self.now, units)
            self.inside -= units

    @rule(units=st.integers(1, 1000))
    def take_what_was_used(self, units: int) -> None:
        self.bucket.take(self.now, units)
        self.inside -= units

    @invariant()
    def tells_the_truth(self) -> None:
        level = self.bucket.level(self.now)
        assert level.remaining == max(0, self.inside // 1)
        assert 0 <= level.reset - (self.limit - self.inside) * MINUTE / self.limit < 1


TestAgainstFractions = AgainstFractions.TestCase
# Few steps show each way from an empty bucket to a full one.
TestAgainstFractions.settings = settings(stateful_step_count=25)


@given(st.integers(1, 1000), st.integers(0, MINUTE), st.lists(st.integers(0, SECOND), max_size=200))
def test_no_minute_has_more_than_twice_the_limit(limit: int, start: int, gaps: list[int]) -> None:
    bucket, now, taken = Bucket(limit), start, []
    for gap in gaps:
        now += gap
        if not bucket.wait(now):
            bucket.take(now)
            taken.append(now)
    for first in taken:
        assert sum(first <= at < first + MINUTE for at in taken) <= 2 * limit
