"""engine/scheduling/idle.py: when an engine that nobody uses ends, and what follows it."""

from __future__ import annotations

from collections import deque

import pytest
from builders import variant

from engine.scheduling import events as ev
from engine.scheduling.engine_table import EngineRecord, EngineTable
from engine.scheduling.eviction import Limits
from engine.scheduling.idle import IdleEngines, end_of, larger_ahead, smaller_than
from engine.scheduling.lifecycle import State
from engine.scheduling.policy import Policy

SMALL, LARGE = EngineRecord(variant(4096)), EngineRecord(variant(8192))
RECORDS = {"m@4096": SMALL, "m@8192": LARGE}


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
    record = EngineRecord(variant(8192), needs=deque(map(variant, needs)))
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


class TestIdleEngines:
    """Two variants of one model, the larger one idle since 2.0; and another model."""

    POLICY = Policy(shrink_after=300.0, shrink_requests=1)

    def setup_method(self) -> None:
        variants = variant(4096), variant(8192), variant(4096, "other")
        self.engines = EngineTable(variants, Limits())
        self.idle = IdleEngines(self.engines)
        self.small, self.large, self.other = self.engines.records.values()
        self.engines.start(self.large, 0.0, [])
        self.engines.ready(ev.EngineReady(1, 2.0))

    def rest(self, now: float, *, waited: bool = False) -> list[ev.Effect]:
        out: list[ev.Effect] = []
        self.idle.rest(self.POLICY, now, out, waited=waited)
        return out

    def shrunk(self) -> None:
        """The larger one has just been told to end for the smaller one."""
        self.large.needs.append(self.small.variant)
        assert self.rest(302.0) == [ev.StopEngine(1)]
        assert self.rest(303.0) == [], "it has not ended yet"

    def exited(self) -> None:
        self.engines.exited(ev.EngineExited(1, "stopped", 304.0))

    def test_it_ends_after_its_idle_time(self) -> None:
        assert self.rest(2.0) == [ev.WakeAt(902.0)]
        assert self.rest(901.0) == [ev.WakeAt(902.0)]
        assert self.rest(902.0) == [ev.StopEngine(1)]
        self.exited()
        assert self.rest(905.0) == [], "nothing follows"

    def test_a_busy_one_is_left_alone(self) -> None:
        self.large.active.add(1)
        assert self.rest(5000.0) == []

    def test_a_request_may_keep_the_model_until_it_ends(self) -> None:
        self.idle.keep("m", float("inf"))
        assert self.rest(2.0) == [], "no time brings its end"
        self.idle.keep("m", 10.0)
        assert self.rest(2.0) == [ev.WakeAt(12.0)]
        self.idle.release("m")
        assert self.rest(2.0) == [ev.WakeAt(902.0)]
        self.idle.release("m")

    def test_its_own_end_makes_an_end_of_the_wish(self) -> None:
        self.idle.keep("m", 10.0)
        assert self.rest(12.0) == [ev.StopEngine(1)]
        self.exited()
        self.engines.start(self.large, 400.0, [])
        self.engines.ready(ev.EngineReady(2, 402.0))
        assert self.rest(402.0) == [ev.WakeAt(1302.0)]

    def test_a_shrink_keeps_the_wish(self) -> None:
        self.idle.keep("m", 5000.0)
        self.shrunk()
        self.exited()
        assert self.rest(305.0) == [ev.StartEngine(2, self.small.variant)]
        self.engines.ready(ev.EngineReady(2, 306.0))
        assert self.rest(306.0) == [ev.WakeAt(5306.0)]

    def test_requests_that_wait_come_before_a_successor(self) -> None:
        self.shrunk()
        self.exited()
        assert self.rest(305.0, waited=True) == []
        assert self.rest(306.0) == [], "a request may start it"

    def test_a_successor_finds_no_room(self) -> None:
        self.shrunk()
        self.exited()
        self.engines.start(self.other, 304.0, [])
        assert self.rest(305.0) == []

    def test_a_successor_that_backs_off_does_not_start(self) -> None:
        self.shrunk()
        self.exited()
        self.small.retry_at = 400.0
        assert self.rest(305.0) == []
        assert self.small.state is State.STOPPED

    def test_a_successor_is_forgotten(self) -> None:
        self.shrunk()
        self.idle.forget("m")
        self.idle.forget("other")
        self.exited()
        assert self.rest(305.0) == []

    @pytest.mark.parametrize("wanted", [True, False])
    def test_a_successor_is_retained_if_it_is_wanted(self, wanted: bool) -> None:
        self.shrunk()
        self.idle.retain(lambda record: wanted and record is self.small)
        self.exited()
        assert bool(self.rest(305.0)) is wanted


@pytest.mark.parametrize(
    ("ahead", "retry_at", "larger"), [(0, 0.0, False), (8192, 0.0, True), (8192, 9.0, False)]
)
def test_the_larger_one_that_will_be_needed(ahead: int, retry_at: float, larger: bool) -> None:
    record = EngineRecord(variant(4096), ahead=variant(ahead) if ahead else None)
    large = EngineRecord(variant(8192), retry_at=retry_at)
    records = {"m@4096": record, "m@8192": large}
    assert larger_ahead(record, records, 5.0) is (large if larger else None)
