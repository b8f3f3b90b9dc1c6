"""engine/scheduling/scheduler.py, rule 7: engines that somebody wants gone."""

from __future__ import annotations

import pytest
from builders import variant
from scheduler_script import Script

from engine.scheduling.eviction import Limits
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy

VARIANTS = {
    "4k": variant(4096),
    "8k": variant(8192),
    "other": variant(4096, "other"),
}
SIDE_BY_SIDE = Limits(max_loaded=2)


@pytest.fixture
def script() -> Script:
    return Script(VARIANTS, limits=SIDE_BY_SIDE)


def test_an_idle_engine_stops(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   1 leaves          → wake 902
        3   unload m          → stop e1
        4   unload m          → nothing
        5   e1 exits          → nothing
        6   unload m          → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_requests_in_flight_end_first(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   unload m          → nothing
        3   unload m          → nothing
    """)
    assert script.state("4k") is State.DRAINING
    script.play("""
        4   1 leaves          → stop e1
        5   e1 exits          → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_a_keep_alive_ends_with_the_unload(script: Script) -> None:
    script.play("""
        0   1 asks for 4k keeping 5 → start e1 4k
        1   e1 ready          → grant 1 e1
        2   unload m          → nothing
        3   1 leaves          → stop e1
        4   e1 exits          → nothing
        10  2 asks for 4k     → start e2 4k
        11  e2 ready          → grant 2 e2
        12  2 leaves          → wake 912
    """)


def test_force_does_not_wait_for_them(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   unload m          → nothing
        3   unload m now      → stop e1
        4   unload m now      → nothing
        5   e1 exits          → nothing
        6   1 leaves          → nothing
    """)


def test_waiting_requests_get_a_fresh_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for 4k     → nothing
        3   unload m          → nothing
        4   3 asks for 4k     → nothing
        5   1 leaves          → stop e1
        6   e1 exits          → start e2 4k
        7   e2 ready          → grant 2 e2
        8   2 leaves          → grant 3 e2
    """)


def test_a_starting_engine_is_stopped_and_a_waiting_request_starts_it_again(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   unload m          → stop e1
        2   e1 exits          → start e2 4k
        3   e2 ready          → grant 1 e2
    """)


def test_a_request_that_lost_its_engine_may_try_again(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   unload m now      → stop e1
        3   e1 exits          → nothing
        4   1 returns for 4k  → start e2 4k
    """)


def test_all_engines_or_those_of_one_model(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for other  → start e2 other
        1   e1 ready          → grant 1 e1
        1   e2 ready          → grant 2 e2
        2   1 leaves          → wake 902
        2   2 leaves          → wake 902
        3   unload other      → stop e2; wake 902
        4   unload            → stop e1
    """)


def test_an_engine_that_ends_or_failed_already_is_left_alone(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 too slow       → refuse 1 EngineStartTimeout; stop e1
        2   unload m          → nothing
        3   e1 exits          → nothing
        4   unload m          → nothing
    """)
    assert script.state("4k") is State.BACKOFF


def test_nothing_follows_an_engine_that_shrinks_when_it_was_unloaded() -> None:
    script = Script(VARIANTS, Policy(shrink_after=10, shrink_requests=1))
    script.play("""
        0   1 asks for 8k     → start e1 8k
        1   e1 ready          → grant 1 e1
        2   1 leaves          → wake 902
        3   2 asks for 4k     → grant 2 e1
        4   2 leaves          → wake 14
        14  tick              → stop e1
        15  unload m          → nothing
        16  e1 exits          → nothing
    """)


def test_while_the_gateway_drains_it_changes_nothing(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   drain             → nothing
        3   unload m          → nothing
        4   1 leaves          → stop e1
    """)
