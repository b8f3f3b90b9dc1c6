"""engine/idle.py: when an engine that nobody uses ends, and what follows it."""

from __future__ import annotations

from collections import deque

import pytest
from builders import variant

from engine.idle import end_of, larger_ahead, smaller_than
from engine.records import EngineRecord

SMALL, LARGE = EngineRecord(variant(4096)), EngineRecord(variant(8192))
RECORDS = {("m", 4096): SMALL, ("m", 8192): LARGE}


@pytest.mark.parametrize(
    ("needs", "requests", "after", "smaller"),
    [
        ([4096], 1, 300.0, SMALL),
        ([4096], 1, 0.0, None),
        ([4096], 2, 300.0, None),
        ([4096, 8192], 2, 300.0, None),
        ([8192, 4096], 1, 300.0, SMALL),
        ([], 1, 300.0, None),
    ],
)
def test_which_smaller_variant_would_have_done(
    needs: list[int], requests: int, after: float, smaller: EngineRecord | None
) -> None:
    record = EngineRecord(variant(8192), needs=deque(needs))
    assert smaller_than(record, RECORDS, after=after, requests=requests) is smaller


@pytest.mark.parametrize(
    ("after", "retry_at", "now", "end", "replaced"),
    [
        (300.0, 0.0, 0.0, 400.0, True),
        (300.0, 450.0, 0.0, 450.0, True),
        (300.0, 2000.0, 0.0, 1000.0, False),
        (900.0, 0.0, 0.0, 1000.0, False),
        (300.0, 0.0, 999.0, 400.0, True),
        (300.0, 0.0, 1000.0, 1000.0, False),
    ],
)
def test_the_smaller_one_comes_before_the_idle_time_is_over(
    after: float, retry_at: float, now: float, end: float, replaced: bool
) -> None:
    record = EngineRecord(variant(8192), idle_since=100.0)
    smaller = EngineRecord(variant(4096), retry_at=retry_at)
    expected = end, smaller if replaced else None
    assert end_of(record, smaller, idle=900.0, after=after, now=now) == expected


def test_without_a_smaller_one_only_the_idle_time_counts() -> None:
    record = EngineRecord(variant(8192), idle_since=100.0)
    assert end_of(record, None, idle=900.0, after=300.0, now=0.0) == (1000.0, None)


@pytest.mark.parametrize(
    ("ahead", "retry_at", "larger"), [(0, 0.0, False), (8192, 0.0, True), (8192, 9.0, False)]
)
def test_the_larger_one_that_will_be_needed(ahead: int, retry_at: float, larger: bool) -> None:
    record = EngineRecord(variant(4096), ahead=ahead)
    large = EngineRecord(variant(8192), retry_at=retry_at)
    records = {("m", 4096): record, ("m", 8192): large}
    assert larger_ahead(record, records, 5.0) is (large if larger else None)
