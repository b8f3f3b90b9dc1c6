"""engine/scheduling/scheduler.py with several engines at once, as scripts of events and effects."""

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


@pytest.fixture
def two() -> Script:
    return Script(VARIANTS, limits=Limits(2))


def both_idle(script: Script) -> None:
    """Engines e1 of a and e2 of b, a used last."""
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → start e2 b
        1   e1 ready       → grant 1 e1
        2   e2 ready       → grant 2 e2
        3   2 leaves       → wake 903
        4   1 leaves       → wake 903
    """)


def test_two_models_start_and_serve_side_by_side(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for b   → grant 3 e2; wake 904
        5   4 asks for a   → grant 4 e1
    """)
    assert [record.variant.model for record in two.scheduler.records if record.active] == ["a", "b"]


def test_each_engine_is_unloaded_in_its_own_time(two: Script) -> None:
    both_idle(two)
    two.play("""
        903   tick        → stop e2; wake 904
        904   tick        → stop e1
        905   e1 exits    → nothing
        905   e2 exits    → nothing
    """)


def test_the_least_recently_used_idle_engine_makes_room(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for c   → stop e2; wake 904
        6   e2 exits       → start e3 c; wake 904
        7   e3 ready       → grant 3 e3; wake 904
    """)


def test_a_busy_engine_is_not_evicted_but_the_idle_one_although_used_later(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for b   → grant 3 e2; wake 904
        6   4 asks for c   → stop e1
    """)


def test_while_all_are_busy_the_least_recently_used_serves_nobody_after_the_request(
    two: Script,
) -> None:
    two.play("""
        0   1 asks for c   → start e1 c
        0   2 asks for a   → start e2 a
        1   e1 ready       → grant 1 e1
        2   e2 ready       → grant 2 e2
        3   3 asks for b   → nothing
        4   4 asks for c   → nothing
        5   1 leaves       → stop e1
        6   e1 exits       → start e3 b
        7   2 leaves       → stop e2
        8   e2 exits       → start e4 c
    """)


def test_when_another_is_free_first_the_claimed_one_serves_on(two: Script) -> None:
    two.play("""
        0   1 asks for c   → start e1 c
        0   2 asks for a   → start e2 a
        1   e1 ready       → grant 1 e1
        2   e2 ready       → grant 2 e2
        3   3 asks for b   → nothing
        4   4 asks for c   → nothing
        5   2 leaves       → stop e2; grant 4 e1
        6   e2 exits       → start e3 b
    """)


def test_the_other_one_makes_room_when_it_is_free_first(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for b   → grant 3 e2; wake 904
        5   4 asks for a   → grant 4 e1
        6   5 asks for c   → nothing
        7   4 leaves       → stop e1
        8   6 asks for b   → nothing
        8   3 leaves       → grant 6 e2
        9   e1 exits       → start e3 c
    """)


def test_a_variant_change_replaces_the_own_engine_only(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for a+  → stop e1; wake 903
        6   e1 exits       → start e3 a+; wake 903
        7   e3 ready       → grant 3 e3; wake 903
        8   4 asks for a   → wake 903
        9   5 asks for b   → grant 5 e2
    """)


def test_what_waits_for_one_model_holds_up_no_other(two: Script) -> None:
    two.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for a   → nothing
        0   3 asks for b   → start e2 b
        1   e2 ready       → grant 3 e2
        2   e1 ready       → grant 1 e1
        3   3 leaves       → wake 903
        4   4 asks for b   → grant 4 e2
        5   1 leaves       → grant 2 e1
    """)


def test_two_requests_that_need_room_get_one_engine_each(two: Script) -> None:
    both_idle(two)
    three = {"d": variant(4096, "d")}
    script = Script(VARIANTS | three, limits=Limits(2))
    both_idle(script)
    script.play("""
        5   3 asks for c   → stop e2; wake 904
        5   4 asks for d   → stop e1
        6   e1 exits       → start e3 c
        7   e2 exits       → start e4 d
        8   e4 ready       → grant 4 e4
        8   e3 ready       → grant 3 e3
    """)


def test_nobody_takes_the_room_that_another_waits_for(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for a   → grant 3 e1; wake 903
        5   4 asks for b   → grant 4 e2
        6   5 asks for c   → nothing
        6   6 asks for a+  → nothing
        7   3 leaves       → stop e1
        8   e1 exits       → start e3 c
        9   e3 ready       → grant 5 e3
        10  4 leaves       → stop e2
        11  e2 exits       → start e4 a+
    """)


def test_one_address_is_no_place_for_two() -> None:
    limits = Limits(4, {VARIANTS["a"].label: "x:1", VARIANTS["b"].label: "x:1"})
    script = Script(VARIANTS, limits=limits)
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for c   → start e2 c
        1   3 asks for b   → nothing
        2   e1 ready       → grant 1 e1
        3   1 leaves       → stop e1
        4   e1 exits       → start e3 b
    """)


def test_a_failed_start_frees_its_place(two: Script) -> None:
    two.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for b   → start e2 b
        0   3 asks for c   → nothing
        1   e1 exits       → refuse 1 EngineStartFailed; start e3 c
        2   e3 ready       → grant 3 e3
    """)


def test_an_engine_shrinks_beside_another() -> None:
    script = Script(VARIANTS, Policy(shrink_after=10, shrink_requests=1), Limits(2))
    script.play("""
        0    1 asks for a+  → start e1 a+
        0    2 asks for b   → start e2 b
        1    e1 ready       → grant 1 e1
        1    e2 ready       → grant 2 e2
        2    1 leaves       → wake 902
        3    3 asks for a   → grant 3 e1
        4    3 leaves       → wake 14
        14   tick           → stop e1
        15   e1 exits       → start e3 a
    """)


def test_a_successor_gives_way_to_a_request_that_waits_for_room() -> None:
    script = Script(VARIANTS, Policy(shrink_after=10, shrink_requests=1), Limits(2))
    script.play("""
        0    1 asks for a+  → start e1 a+
        0    2 asks for b   → start e2 b
        1    e1 ready       → grant 1 e1
        1    e2 ready       → grant 2 e2
        2    1 leaves       → wake 902
        3    3 asks for a   → grant 3 e1
        4    3 leaves       → wake 14
        14   tick           → stop e1
        14   4 asks for c   → nothing
        15   e1 exits       → start e3 c
        16   4 leaves       → nothing
    """)


def test_drain_ends_every_engine_in_its_own_way(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for b   → grant 3 e2; wake 904
        6   drain          → stop e1
        7   e1 exits       → nothing
        8   3 leaves       → stop e2
        9   e2 exits       → nothing
    """)


def test_halt_ends_all_at_once(two: Script) -> None:
    both_idle(two)
    two.play("""
        5   3 asks for b   → grant 3 e2; wake 904
        6   halt           → stop e1; stop e2
    """)


def test_the_live_engine_of_each_model_is_found(two: Script) -> None:
    assert two.scheduler.live("a") is None
    both_idle(two)
    assert two.scheduler.live("a") is two.record("a")
    assert two.scheduler.live("b") is two.record("b")
    assert two.scheduler.live("c") is None


# -- Groups, and engines that are kept


def test_a_switch_of_groups_waits_until_the_whole_group_is_free() -> None:
    script = Script(VARIANTS, limits=Limits(3, groups={"a": "g", "c": "g", "b": "h"}))
    script.play("""
        0   1 asks for a   → start e1 a
        0   2 asks for c   → start e2 c
        1   e1 ready       → grant 1 e1
        1   e2 ready       → grant 2 e2
        2   3 asks for b   → nothing
        3   4 asks for c   → nothing
        4   1 leaves       → wake 904
        5   2 leaves       → stop e1; stop e2
        6   e2 exits       → nothing
        7   e1 exits       → start e3 b
        8   e3 ready       → grant 3 e3
        9   3 leaves       → stop e3
        10  e3 exits       → start e4 c
    """)


def test_a_pinned_engine_is_passed_over() -> None:
    script = Script(VARIANTS, limits=Limits(2, pinned=frozenset({"b"})))
    both_idle(script)
    script.play("""
        5   3 asks for c   → stop e1; wake 903
        6   e1 exits       → start e3 c; wake 903
        903 tick           → stop e2
    """)


def test_a_request_without_room_beside_kept_engines_is_refused() -> None:
    script = Script(VARIANTS, limits=Limits(2, pinned=frozenset({"a", "b"})))
    both_idle(script)
    script.play("""
        5     3 asks for c   → refuse 3 EngineStartFailed; wake 903
        903   tick           → stop e2; wake 904
        904   4 asks for c   → stop e1
    """)
    expected = "There is no room for the engine c@4096 beside a@4096, b@4096."
    assert script.errors[3].message == expected


# -- Resources

SIZED = {
    "small": variant(4096, "small", needs={"gpu": 4}),
    "large": variant(4096, "large", needs={"gpu": 8}),
    "tiny": variant(4096, "tiny", needs={"gpu": 2}),
    "huge": variant(4096, "huge", needs={"gpu": 11}),
}


def sized() -> Script:
    return Script(SIZED, limits=Limits(4, resources={"gpu": 10}))


def test_what_does_not_fit_waits_for_room_and_what_fits_does_not() -> None:
    sized().play("""
        0   1 asks for small   → start e1 small
        1   e1 ready           → grant 1 e1
        2   2 asks for large   → nothing
        3   3 asks for tiny    → start e2 tiny
        4   e2 ready           → grant 3 e2
        5   1 leaves           → stop e1
        6   e1 exits           → start e3 large
    """)


def test_the_engine_that_is_rarely_used_and_loads_fast_goes() -> None:
    sized().play("""
        0   1 asks for tiny    → start e1 tiny
        0   2 asks for small   → start e2 small
        1   e2 ready           → grant 2 e2
        2   2 leaves           → wake 902
        9   e1 ready           → grant 1 e1; wake 902
        10  1 leaves           → wake 902
        11  3 asks for small   → grant 3 e2; wake 910
        12  3 leaves           → wake 910
        13  4 asks for large   → stop e2; wake 910
    """)


def test_more_than_there_is_is_refused() -> None:
    script = sized()
    script.play("""
        0   1 asks for small   → start e1 small
        0   2 asks for huge    → refuse 2 EngineStartFailed
    """)
    assert script.errors[2].message == "There is no room for the engine huge@4096."
