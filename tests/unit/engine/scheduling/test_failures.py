"""engine/scheduling/failures.py: what requests are told that get no engine."""

from __future__ import annotations

import pytest
from builders import variant

from engine.scheduling.failures import no_room, queue_full, start_failed
from engine.scheduling.records import EngineRecord
from utils.errors import EngineOutOfMemory

A, B = variant(4096, "a"), variant(8192, "b")


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
