"""engine/scheduling/scheduler.py: auxiliary requests, which take no place."""

from __future__ import annotations

from scheduler_script import VARIANTS, Script

from engine.scheduling.scheduler import Policy

# -- Auxiliary requests take no place, say nothing of what fits, and keep the engine while they run.


def test_an_auxiliary_request_is_served_beside_a_full_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 8k                → start e1 8k
        1   e1 ready                     → grant 1 e1
        2   2 asks for 8k                → nothing
        3   3 asks for 16k as auxiliary  → grant 3 e1
        4   4 asks for 4k as auxiliary   → grant 4 e1
        5   1 leaves                     → grant 2 e1
        6   2 leaves                     → nothing
        7   3 leaves                     → nothing
        8   4 leaves                     → wake 908
    """)


def test_an_auxiliary_request_waits_for_a_start_and_starts_its_minimum(script: Script) -> None:
    script.play("""
        0   1 asks for 4k as auxiliary   → start e1 4k
        1   2 asks for 4k as auxiliary   → nothing
        2   3 asks for 4k                → nothing
        3   e1 ready                     → grant 1 e1; grant 2 e1; grant 3 e1
        4   3 leaves                     → nothing
        5   1 leaves                     → nothing
        6   2 leaves                     → wake 906
    """)


def test_an_auxiliary_request_goes_to_the_larger_engine_that_starts(script: Script) -> None:
    script.play("""
        0   1 asks for 16k               → start e1 16k
        1   2 asks for 4k as auxiliary   → nothing
        2   3 asks for other             → nothing
        3   e1 ready                     → grant 1 e1; grant 2 e1
        4   1 leaves                     → nothing
        5   2 leaves                     → stop e1
    """)


def test_auxiliary_requests_cannot_keep_an_engine_from_making_room(script: Script) -> None:
    script.play("""
        0   1 asks for 4k                → start e1 4k
        1   e1 ready                     → grant 1 e1
        2   2 asks for other             → nothing
        3   3 asks for 4k as auxiliary   → grant 3 e1
        4   1 leaves                     → nothing
        5   4 asks for 4k as auxiliary   → nothing
        6   3 leaves                     → stop e1
        7   e1 exits                     → start e2 other
        8   e2 ready                     → grant 2 e2
        9   2 leaves                     → stop e2
        9   e2 exits                     → start e3 4k
        10  e3 ready                     → grant 4 e3
    """)


def test_an_engine_started_for_auxiliary_requests_alone_makes_room_too(script: Script) -> None:
    script.play("""
        0   1 asks for 4k as auxiliary   → start e1 4k
        1   e1 ready                     → grant 1 e1
        2   2 asks for other             → nothing
        3   3 asks for 4k as auxiliary   → nothing
        4   1 leaves                     → stop e1
        5   e1 exits                     → start e2 other
    """)


def test_auxiliary_requests_do_not_shrink_an_engine() -> None:
    script = Script(VARIANTS, Policy(shrink_after=60, shrink_requests=2))
    script.play("""
        0   1 asks for 16k               → start e1 16k
        1   e1 ready                     → grant 1 e1
        2   1 leaves                     → wake 902
        3   2 asks for 16k               → grant 2 e1
        4   2 leaves                     → wake 904
        5   3 asks for 4k as auxiliary   → grant 3 e1
        6   4 asks for 4k as auxiliary   → grant 4 e1
        7   3 leaves                     → nothing
        8   4 leaves                     → wake 908
        100 tick                         → wake 908
    """)
    assert [each.context for each in script.record("16k").needs] == [16384, 16384]


def test_an_auxiliary_request_keeps_the_engine_from_being_stopped(script: Script) -> None:
    script.play("""
        0    1 asks for 4k as auxiliary  → start e1 4k
        1    e1 ready                    → grant 1 e1
        950  tick                        → nothing
        951  unload m                    → nothing
        952  2 asks for 4k as auxiliary  → nothing
        953  1 leaves                    → stop e1
        954  e1 exits                    → start e2 4k
        955  e2 ready                    → grant 2 e2
        956  drain                       → nothing
        957  2 leaves                    → stop e2
    """)


def test_an_auxiliary_request_may_try_again(script: Script) -> None:
    script.play("""
        0   1 asks for 8k                → start e1 8k
        1   e1 ready                     → grant 1 e1
        2   2 asks for 4k as auxiliary   → grant 2 e1
        3   2 returns for 4k             → grant 2 e1
        4   e1 exits                     → nothing
        5   2 returns for 4k             → start e2 4k
    """)
