"""engine/scheduling/planner.py: whose turn it is, as scripts with several models in one queue."""

from __future__ import annotations

import pytest
from builders import variant
from scheduler_script import Script

from engine.scheduling.scheduler import Limits, Policy

VARIANTS = {
    "a": variant(4096, "a"),
    "a+": variant(8192, "a"),
    "b": variant(4096, "b"),
    "c": variant(4096, "c", parallel=2),
}
PATIENT = Policy(max_switch_wait=30.0, min_residency=5.0)


@pytest.fixture
def script() -> Script:
    return Script(VARIANTS, PATIENT)


def test_requests_for_what_is_loaded_are_collected(script: Script) -> None:
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → nothing
        0   3 asks for a   → nothing
        0   4 asks for b   → nothing
        1   e1 ready       → grant 1 e1
        2   1 leaves       → grant 3 e1
        3   3 leaves       → stop e1
        4   e1 exits       → start e2 b
        5   e2 ready       → grant 2 e2
        6   2 leaves       → grant 4 e2
    """)


def test_in_the_order_of_arrival_they_are_not() -> None:
    Script(VARIANTS).play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → nothing
        0   3 asks for a   → nothing
        1   e1 ready       → grant 1 e1
        2   1 leaves       → stop e1
    """)


def test_a_later_request_takes_a_free_slot_but_not_past_an_overdue_one(
    script: Script,
) -> None:
    script.play("""
        0    1 asks for c   → start e1 c
        1    e1 ready       → grant 1 e1
        2    2 asks for b   → nothing
        31   3 asks for c   → grant 3 e1
        31   1 leaves       → nothing
        32   4 asks for c   → nothing
        33   3 leaves       → stop e1
        34   e1 exits       → start e2 b
        35   e2 ready       → grant 2 e2
        36   5 asks for b   → nothing
        37   2 leaves       → grant 5 e2
        38   5 leaves       → stop e2
    """)


def test_a_request_before_the_overdue_one_is_served_before_it(script: Script) -> None:
    script.play("""
        0    1 asks for a   → start e1 a
        1    2 asks for a   → nothing
        1    e1 ready       → grant 1 e1
        2    3 asks for b   → nothing
        3    4 asks for a   → nothing
        50   1 leaves       → grant 2 e1
        51   2 leaves       → stop e1
    """)


def test_a_new_engine_stays_a_while_for_its_requests(script: Script) -> None:
    script.play("""
        0    1 asks for a   → start e1 a
        0    2 asks for b   → nothing
        40   e1 ready       → grant 1 e1
        41   3 asks for a   → nothing
        42   1 leaves       → grant 3 e1
        43   4 asks for a   → nothing
        45   3 leaves       → stop e1
    """)


def test_but_not_when_it_is_idle(script: Script) -> None:
    script.play("""
        0    1 asks for a   → start e1 a
        0    2 asks for b   → nothing
        1    e1 ready       → grant 1 e1
        2    1 leaves       → stop e1
    """)


def test_growth_does_not_wait_for_others(script: Script) -> None:
    script.play("""
        0    1 asks for a   → start e1 a
        1    e1 ready       → grant 1 e1
        2    2 asks for a+  → nothing
        2    3 asks for a   → nothing
        3    1 leaves       → stop e1
        4    e1 exits       → start e2 a+
        5    e2 ready       → grant 2 e2
    """)


def test_a_return_waits_for_nobody(script: Script) -> None:
    script.play("""
        0    1 asks for a       → start e1 a
        0    2 asks for a       → nothing
        1    e1 ready           → grant 1 e1
        2    1 returns for a+   → stop e1
        3    e1 exits           → start e2 a+
        4    e2 ready           → grant 1 e2
    """)


def test_a_return_to_another_engine_comes_before_requests_for_the_fresh_one(
    script: Script,
) -> None:
    script.play("""
        0    1 asks for a       → start e1 a
        0    2 asks for b       → nothing
        1    e1 ready           → grant 1 e1
        2    e1 exits           → start e2 b
        3    1 returns for a    → stop e2
    """)


def test_clients_are_served_in_turn(script: Script) -> None:
    script.play("""
        0   1 asks for a by ann   → start e1 a
        0   2 asks for a by ann   → nothing
        0   3 asks for a by ann   → nothing
        0   4 asks for a by bob   → nothing
        1   e1 ready              → grant 1 e1
        2   1 leaves              → grant 4 e1
        3   4 leaves              → grant 2 e1
        4   5 asks for a by bob   → nothing
        5   2 leaves              → grant 5 e1
        6   5 leaves              → grant 3 e1
    """)


def test_a_turn_takes_nobody_past_an_overdue_request(script: Script) -> None:
    script.play("""
        0    1 asks for a by ann   → start e1 a
        0    2 asks for a by ann   → nothing
        1    e1 ready              → grant 1 e1
        2    3 asks for b by cid   → nothing
        3    4 asks for a by bob   → nothing
        32   1 leaves              → grant 2 e1
        33   2 leaves              → stop e1
    """)


def test_higher_priorities_come_first(script: Script) -> None:
    script.play("""
        0   1 asks for a           → start e1 a
        0   2 asks for a at low    → nothing
        0   3 asks for a           → nothing
        0   4 asks for a at high   → nothing
        1   e1 ready               → grant 4 e1
        2   4 leaves               → grant 1 e1
        3   1 leaves               → grant 3 e1
        4   3 leaves               → grant 2 e1
    """)


def test_a_higher_priority_decides_what_starts_next(script: Script) -> None:
    script.play("""
        0   1 asks for a           → start e1 a
        0   2 asks for b           → nothing
        0   3 asks for c at high   → nothing
        1   e1 ready               → grant 1 e1
        2   1 leaves               → stop e1
        3   e1 exits               → start e2 c
    """)


def test_many_equal_requests_are_decided_once() -> None:
    script = Script(VARIANTS, PATIENT, Limits(2))
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → start e2 b
        0   3 asks for c   → nothing
        0   4 asks for c   → nothing
        1   e1 ready       → grant 1 e1
        2   1 leaves       → stop e1
        3   e1 exits       → start e3 c
        4   e3 ready       → grant 3 e3; grant 4 e3
    """)


def test_a_start_that_may_not_be_tried_yet_is_refused_before_an_engine_ends_for_it(
    script: Script,
) -> None:
    script.play("""
        0     1 asks for b   → start e1 b
        1     e1 exits       → refuse 1 EngineStartFailed
        1     2 asks for b   → start e2 b
        2     e2 exits       → refuse 2 EngineStartFailed
        2     3 asks for a   → start e3 a
        2.1   e3 ready       → grant 3 e3
        2.2   3 leaves       → wake 902.2
        2.5   4 asks for b   → refuse 4 EngineStartFailed; wake 902.2
        3     5 asks for b   → stop e3
    """)


def test_no_room_beside_a_kept_engine_is_told() -> None:
    script = Script(VARIANTS, PATIENT, Limits(1, pinned=frozenset("a")))
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → refuse 2 EngineStartFailed
    """)
