"""The scheduler and memory: learnt values, and what follows when memory runs out."""

from __future__ import annotations

from builders import variant
from scheduler_script import Script

from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Limits, Policy
from utils.errors import EngineOutOfMemory, EngineStartFailed

VARIANTS = {
    "a2": variant(2048, "a"),
    "a4": variant(4096, "a"),
    "a8": variant(8192, "a"),
    "b": variant(4096, "b"),
    "c": variant(4096, "c"),
    "p": variant(4096, "p"),
}
QUIET = Policy(shrink_after=0)


def script(limits: Limits | None = None) -> Script:
    return Script(VARIANTS, QUIET, limits or Limits(9))


# -- learnt needs -----------------------------------------------------------------------------


def test_what_an_engine_holds_is_known_while_it_lives_and_learnt_for_ever() -> None:
    s = script(Limits(9, resources={"gpu0": 10}))
    s.play("""
        0   1 asks for b        → start e1 b
        1   e1 ready            → grant 1 e1
        1   e1 holds gpu0 8 ram 3   → nothing
        2   1 leaves            → wake 902
    """)
    assert s.record("b").memory == {"gpu0": 8, "ram": 3}
    assert s.record("b").takes == {"gpu0": 8}
    s.play("""
        3   e1 holds gpu0 6     → wake 902
        4   e1 exits            → nothing
        4   e1 holds gpu0 9     → nothing
    """)
    assert s.record("b").memory == {}
    assert s.record("b").takes == {"gpu0": 8}


def test_learnt_needs_decide_which_engine_makes_room() -> None:
    s = script(Limits(9, resources={"gpu0": 10}))
    s.play("""
        0   1 asks for b        → start e1 b
        1   e1 ready            → grant 1 e1
        1   e1 holds gpu0 8     → nothing
        2   1 leaves            → wake 902
        3   2 asks for c        → start e2 c; wake 902
        4   e2 ready            → grant 2 e2; wake 902
        4   e2 holds gpu0 7     → wake 902
        5   2 leaves            → wake 902
        6   3 asks for c        → grant 3 e2; wake 902
        7   e2 exits            → wake 902
        8   3 returns for c     → stop e1
        9   e1 exits            → start e3 c
    """)


def test_what_was_learnt_before_counts_from_the_first_start() -> None:
    limits = Limits(9, resources={"gpu0": 10})
    for name in ("b", "c"):
        limits = limits.learning(VARIANTS[name], {"gpu0": 99})
    s = script(limits)
    assert s.record("b").takes == {"gpu0": 10}
    s.play("""
        0   1 asks for b        → start e1 b
        1   e1 ready            → grant 1 e1
        2   2 asks for c        → nothing
        3   1 leaves            → stop e1
        4   e1 exits            → start e2 c
    """)


# -- out of memory ----------------------------------------------------------------------------


def test_the_second_try_follows_when_all_idle_engines_have_gone() -> None:
    s = script()
    s.play("""
        0   1 asks for b        → start e1 b
        1   e1 ready            → grant 1 e1
        2   1 leaves            → wake 902
        3   2 asks for a8       → start e2 a8; wake 902
        4   e2 lacks gpu0       → stop e1
        5   e1 exits            → start e3 a8
        6   e3 ready            → grant 2 e3
        7   3 asks for b        → start e4 b
    """)
    assert s.record("a8").failures == s.record("a8").shortages == 0


def test_kept_engines_stay_and_busy_ones_are_waited_for() -> None:
    s = script(Limits(9, pinned=frozenset("p")))
    s.play("""
        0   1 asks for p        → start e1 p
        1   e1 ready            → grant 1 e1
        2   1 leaves            → wake 902
        2   2 asks for b        → start e2 b; wake 902
        3   e2 ready            → grant 2 e2; wake 902
        4   3 asks for a8       → start e3 a8; wake 902
        5   e3 lacks gpu0       → wake 902
        6   4 asks for b        → wake 902
        7   2 leaves            → stop e2; wake 902
        8   e2 exits            → start e4 a8; wake 902
        9   e4 ready            → grant 3 e4; start e5 b; wake 902
    """)


def test_nobody_starts_beside_the_second_try() -> None:
    s = script()
    s.play("""
        0   1 asks for a8       → start e1 a8
        1   e1 lacks ram        → start e2 a8
        2   2 asks for b        → nothing
        3   e2 ready            → grant 1 e2; start e3 b
    """)


def test_the_next_smaller_variant_that_would_do_takes_over() -> None:
    s = script()
    s.play("""
        0   1 asks for a8 else a4,a2   → start e1 a8
        0   2 asks for a8       → nothing
        0   3 asks for a2       → nothing
        1   e1 lacks gpu0       → start e2 a8
        2   e2 lacks gpu0       → refuse 2 EngineOutOfMemory; start e3 a4
        3   e3 ready            → grant 1 e3
        4   1 leaves            → grant 3 e3
    """)
    error = s.errors[2]
    assert isinstance(error, EngineOutOfMemory)
    assert "a@8192 ran out of memory (gpu0)" in error.message
    assert "no room in gpu0" in error.message
    assert s.record("a8").failures == 1


def test_each_fallback_has_its_own_second_try_and_then_all_is_said() -> None:
    s = script()
    s.play("""
        0   1 asks for a8 else a4      → start e1 a8
        1   e1 lacks gpu0       → start e2 a8
        2   e2 lacks gpu0       → start e3 a4
        3   e3 lacks gpu0       → start e4 a4
        4   e4 lacks gpu0       → refuse 1 EngineOutOfMemory
    """)
    assert "a@4096" in s.errors[1].message


def test_later_starts_are_the_only_try_and_back_off() -> None:
    s = script()
    s.play("""
        0   1 asks for a8       → start e1 a8
        1   e1 lacks gpu0       → start e2 a8
        2   e2 lacks gpu0       → refuse 1 EngineOutOfMemory
        11.9    2 asks for a8   → refuse 2 EngineOutOfMemory
        12  2 asks for a8 else a4      → start e3 a8
        13  e3 lacks gpu0       → start e4 a4
        14  3 asks for a8 else a4      → nothing
        15  4 asks for a8       → nothing
        16  e4 ready            → grant 2 e4
        17  2 leaves            → grant 3 e4; refuse 4 EngineOutOfMemory
    """)
    error = s.errors[4]
    assert isinstance(error, EngineStartFailed)
    # Ten times as long as the failed load.
    assert error.retry_after == 23.0 - 17.0
    assert s.state("a8") is State.BACKOFF


def test_a_load_that_nobody_waits_for_is_not_repeated() -> None:
    s = script()
    s.play("""
        0   1 asks for a8       → start e1 a8
        1   1 leaves            → nothing
        2   e1 lacks gpu0       → nothing
        3   2 asks for b        → start e2 b
        4   e2 ready            → grant 2 e2
        5   2 leaves            → wake 905
        6   3 asks for a8       → stop e2
        7   e2 exits            → start e3 a8
    """)


def test_another_failure_ends_the_row_of_shortages() -> None:
    s = script()
    s.play("""
        0   1 asks for a8 else a4      → start e1 a8
        1   e1 lacks gpu0       → start e2 a8
        2   e2 exits            → refuse 1 EngineStartFailed
    """)
    assert not isinstance(s.errors[1], EngineOutOfMemory)
    assert s.record("a8").shortages == 0
    s.play("""
        3   2 asks for b        → start e3 b
        4   3 asks for a8       → start e4 a8
    """)


def test_a_second_try_that_is_too_slow_is_that() -> None:
    s = script()
    s.play("""
        0   1 asks for a8       → start e1 a8
        1   e1 lacks gpu0       → start e2 a8
        9   e2 too slow         → refuse 1 EngineStartTimeout; stop e2
        10  e2 exits            → nothing
    """)
    assert s.record("a8").shortages == 0


def test_a_ready_engine_that_dies_is_no_load_that_failed() -> None:
    s = script()
    s.play("""
        0   1 asks for a8 else a4      → start e1 a8
        1   e1 ready            → grant 1 e1
        2   e1 lacks ram        → nothing
        3   1 returns for a8    → start e2 a8
        4   e2 lacks ram        → start e3 a8
        5   e3 lacks ram        → start e4 a4
        6   e4 ready            → grant 1 e4
        7   e4 exits            → nothing
        8   1 returns for a4    → start e5 a4
    """)


def test_a_request_that_returned_for_a_larger_variant_does_not_step_down() -> None:
    s = script()
    s.play("""
        0   1 asks for a4 else a2      → start e1 a4
        1   e1 ready            → grant 1 e1
        2   1 returns for a8    → stop e1
        3   e1 exits            → start e2 a8
        4   e2 lacks gpu0       → start e3 a8
        5   e3 lacks gpu0       → refuse 1 EngineOutOfMemory
    """)
