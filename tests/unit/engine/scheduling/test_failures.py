"""engine/scheduling/failures.py: what follows a failed start, and what requests are told."""

from __future__ import annotations

import pytest
from builders import variant

from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.failures import (
    GIVE_UP_AFTER,
    LONGEST_DELAY,
    delay_after,
    gives_up,
    no_room,
    out_of_memory,
    pause_after,
    queue_full,
    start_failed,
    steps_down,
    tried_again,
)
from engine.scheduling.queue import Waiting
from utils.errors import EngineOutOfMemory

A, B = variant(4096, "a"), variant(8192, "b")
SMALL, MIDDLE, LARGE = (variant(n) for n in (1024, 2048, 4096))


@pytest.mark.parametrize(
    ("failures", "delay"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 60), (6, 60), (10**9, 60)],
)
def test_the_delay_after_so_many_failures(failures: int, delay: float) -> None:
    assert delay_after(failures) == delay


def test_the_delay_never_shrinks_and_never_becomes_a_dead_end() -> None:
    delays = [delay_after(failures) for failures in range(50)]
    assert delays == sorted(delays)
    assert max(delays) == LONGEST_DELAY


def test_it_gives_up_with_the_fifth() -> None:
    assert [gives_up(failures) for failures in range(3, 8)] == [False, False, True, True, True]
    assert GIVE_UP_AFTER == 5


def test_one_shortage_is_tried_again() -> None:
    tries = [tried_again(EngineRecord(LARGE, shortages=n)) for n in range(4)]
    assert tries == [False, True, False, False]


def test_what_takes_long_to_fail_is_tried_rarely() -> None:
    assert [pause_after(seconds) for seconds in (0.0, 0.5, 3.0, 600.0)] == [0.0, 5.0, 30.0, 60.0]


def test_a_request_steps_down_from_variant_to_variant() -> None:
    waiting = Waiting(1, LARGE, 0.0, fallbacks=(MIDDLE, SMALL))
    assert steps_down(waiting)
    assert (waiting.minimum, waiting.fallbacks) == (MIDDLE, (SMALL,))
    assert steps_down(waiting)
    assert (waiting.minimum, waiting.fallbacks) == (SMALL, ())
    assert not steps_down(waiting)
    assert waiting.minimum is SMALL


def test_the_error_names_the_engine_the_resource_and_what_to_change() -> None:
    record = EngineRecord(
        LARGE, reason="exit status 1: cudaMalloc failed", lacked="gpu0", advice="Lower -c or -ngl"
    )
    error = out_of_memory(record, 4.0)
    assert error.retry_after == 4.0
    for part in ("m@4096", "gpu0", "cudaMalloc failed", "-ngl", "-c"):
        assert part in error.message


def test_a_failed_start_is_told_with_its_reason_and_what_is_left_of_the_back_off() -> None:
    record = EngineRecord(A, reason="exit status 1: no such file", retry_at=12.0)
    error = start_failed(record, 10.0)
    assert error.message == f"The engine {A.label} did not start: exit status 1: no such file"
    assert error.retry_after == 2.0
    assert start_failed(record, 20.0).retry_after == 0.0


def test_a_start_that_lacked_memory_is_told_as_that() -> None:
    record = EngineRecord(A, reason="it was killed", retry_at=12.0, shortages=2, lacked="gpu0")
    error = start_failed(record, 10.0)
    assert isinstance(error, EngineOutOfMemory)
    assert error.retry_after == 2.0
    assert "(gpu0)" in error.message


def test_no_room_names_those_that_are_kept() -> None:
    assert no_room(A, []).message == f"There is no room for the engine {A.label}."
    beside = no_room(A, [B, variant(4096, "c")]).message
    assert beside == f"There is no room for the engine {A.label} beside {B.label}, c@4096."


@pytest.mark.parametrize(
    ("others", "pace", "wait"), [(0, 1.0, 1.0), (4, 0.1, 1.0), (4, 2.0, 8.0), (100, 2.0, 60.0)]
)
def test_a_full_queue_says_when_to_come_back(others: int, pace: float, wait: float) -> None:
    error = queue_full(others, [], [], pace, now=0.0)
    assert error.retry_after == wait
    assert error.message == f"{others} requests are waiting already. Try again later."


def test_a_full_queue_counts_what_loads_by_its_last_load() -> None:
    known = EngineRecord(A, started_at=10.0, load_seconds=20.0)
    new = EngineRecord(B, started_at=10.0)
    error = queue_full(3, [known, new], [], 1.0, now=15.0)
    assert error.retry_after == 18.0
    while_loading = f"while {A.label} and {B.label} load."
    assert error.message == f"3 requests are waiting already {while_loading} Try again later."
    error = queue_full(3, [new], [], 1.0, now=15.0)
    assert error.retry_after == 3.0
    assert f" while {B.label} loads." in error.message


def test_a_full_queue_counts_what_must_be_loaded_too() -> None:
    loading = EngineRecord(A, started_at=10.0, load_seconds=20.0)
    coming = [EngineRecord(B, load_seconds=7.0), EngineRecord(variant(4096, "c"))]
    error = queue_full(3, [loading], coming, 1.0, now=15.0)
    assert error.retry_after == 15.0 + 7.0 + 3.0
    assert error.message.startswith(f"3 requests are waiting already while {A.label} loads.")
