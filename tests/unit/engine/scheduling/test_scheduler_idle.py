"""engine/scheduling/scheduler.py, rule 6: idle engines end, or a smaller variant replaces them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from builders import TIMEOUTS, variant
from scheduler_script import VARIANTS, Script, backed_off, used_large

from engine.scheduling.scheduler import Policy

# -- 6. Idle engines are unloaded, or replaced by a smaller variant.


def test_the_idle_time_counts_from_ready_or_from_the_last_request(script: Script) -> None:
    script.play("""
        0      1 asks for 4k   → start e1 4k
        1      1 leaves        → nothing
        100    e1 ready        → wake 1000
        500    2 asks for 4k   → grant 2 e1
        1000   tick            → nothing
        2000   2 leaves        → wake 2900
        2000   tick            → wake 2900
        2900   tick            → stop e1
        2901   e1 exits        → nothing
    """)


def test_an_arrival_at_the_last_moment_keeps_the_engine(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        0     e1 ready        → grant 1 e1
        0     1 leaves        → wake 900
        900   2 asks for 4k   → grant 2 e1
        900   tick            → nothing
        901   2 leaves        → wake 1801
    """)


def test_an_arrival_just_too_late_waits_for_a_fresh_engine(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        0     e1 ready        → grant 1 e1
        0     1 leaves        → wake 900
        900   tick            → stop e1
        900   2 asks for 4k   → nothing
        901   e1 exits        → start e2 4k
        902   e2 ready        → grant 2 e2
    """)


def test_an_engine_larger_than_needed_gives_way_to_a_smaller_one_in_time(script: Script) -> None:
    used_large(script)
    script.play("""
        302   tick            → stop e1
        303   e1 exits        → start e2 4k
        304   e2 ready        → wake 1204
        305   1 asks for 4k   → grant 1 e2
    """)


def test_the_smaller_engine_is_the_one_that_all_of_the_last_requests_fit(script: Script) -> None:
    used_large(script, small=1)
    script.play("""
        2     1 asks for 8k   → grant 1 e1
        2     1 leaves        → wake 902
        2     2 asks for 4k   → grant 2 e1
        2     2 leaves        → wake 902
        2     3 asks for 4k   → grant 3 e1
        2     3 leaves        → wake 302
        302   tick            → stop e1
        303   e1 exits        → start e2 8k
    """)


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_fewer_small_requests_than_shrink_requests_shrink_nothing(
    script: Script, asked: int
) -> None:
    used_large(script, asked)
    script.play("""
        302   tick            → wake 902
        902   tick            → stop e1
        903   e1 exits        → nothing
    """)


def test_one_large_request_among_the_small_ones_keeps_the_large_engine(script: Script) -> None:
    used_large(script)
    script.play("""
        3     1 asks for 16k   → grant 1 e1
        4     1 leaves         → wake 904
        304   tick             → wake 904
    """)


def test_a_request_before_shrink_after_puts_the_shrinking_off(script: Script) -> None:
    used_large(script)
    script.play("""
        301   1 asks for 4k    → grant 1 e1
        302   tick             → nothing
        400   1 leaves         → wake 700
        699   tick             → wake 700
        700   tick             → stop e1
    """)


def test_shrinking_never_interrupts_a_request(script: Script) -> None:
    used_large(script)
    script.play("""
        3      1 asks for 4k   → grant 1 e1
        9999   tick            → nothing
    """)


def test_a_request_during_shrinking_decides_what_starts(script: Script) -> None:
    used_large(script)
    script.play("""
        302   tick              → stop e1
        302   1 asks for 8k     → nothing
        303   e1 exits          → start e2 8k
        304   1 leaves          → nothing
        305   e2 ready          → wake 1205
        306   2 asks for other  → stop e2
        307   2 leaves          → nothing
        308   e2 exits          → nothing
    """)


def test_a_request_that_comes_and_leaves_during_shrinking_changes_nothing(script: Script) -> None:
    used_large(script)
    script.play("""
        302   tick              → stop e1
        302   1 asks for other  → nothing
        303   1 leaves          → nothing
        304   e1 exits          → start e2 4k
    """)


def test_a_smaller_variant_takes_over_only_after_its_back_off() -> None:
    script = Script(VARIANTS, Policy(shrink_after=0.1, shrink_requests=1))
    backed_off(script, "4k")
    script.play("""
        2     1 asks for 16k   → start e3 16k
        2.1   e3 ready         → grant 1 e3
        2.2   1 leaves         → wake 902.2
        2.3   2 asks for 4k    → grant 2 e3
        2.4   2 leaves         → wake 3
        3     tick             → stop e3
        3.1   e3 exits         → start e4 4k
    """)


def test_shrinking_can_be_switched_off() -> None:
    script = Script(VARIANTS, Policy(shrink_after=0, shrink_requests=1))
    script.play("""
        0     1 asks for 16k   → start e1 16k
        1     e1 ready         → grant 1 e1
        1     1 leaves         → wake 901
        2     2 asks for 4k    → grant 2 e1
        2     2 leaves         → wake 902
    """)


def test_an_idle_time_that_is_over_first_unloads_without_a_successor() -> None:
    impatient = variant(16384, timeouts=TIMEOUTS.__class__(5, 300, 60, 10))
    script = Script(VARIANTS | {"16k": impatient}, Policy(shrink_requests=1))
    script.play("""
        0     1 asks for 16k   → start e1 16k
        1     e1 ready         → grant 1 e1
        1     1 leaves         → wake 61
        2     2 asks for 4k    → grant 2 e1
        2     2 leaves         → wake 62
        62    tick             → stop e1
        63    e1 exits         → nothing
    """)


def test_a_request_may_say_how_long_its_model_stays_loaded(script: Script) -> None:
    script.play("""
        0    1 asks for 4k keeping 60   → start e1 4k
        1    e1 ready                   → grant 1 e1
        2    1 leaves                   → wake 62
        10   2 asks for 4k              → grant 2 e1
        20   2 leaves                   → wake 80
        30   3 asks for 4k keeping 5    → grant 3 e1
        31   3 leaves                   → wake 36
        36   tick                       → stop e1
    """)


def test_keeping_nothing_ends_the_engine_with_the_request(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k keeping 0   → start e1 4k
        1   e1 ready                  → grant 1 e1
        2   2 asks for 4k             → grant 2 e1
        3   1 leaves                  → nothing
        4   2 leaves                  → stop e1
        5   e1 exits                  → nothing
        6   3 asks for 4k             → start e2 4k
        7   e2 ready                  → grant 3 e2
        8   3 leaves                  → wake 908
    """)


def test_keeping_nothing_serves_waiting_requests_first(script: Script) -> None:
    script.play("""
        0   1 asks for 4k keeping 0   → start e1 4k
        0   2 asks for 4k             → nothing
        1   e1 ready                  → grant 1 e1
        2   1 leaves                  → grant 2 e1
        3   2 leaves                  → stop e1
    """)


def test_kept_for_ever_it_ends_for_another_model_only_and_is_then_forgotten(
    script: Script,
) -> None:
    script.play("""
        0       1 asks for 4k keeping inf   → start e1 4k
        1       e1 ready                    → grant 1 e1
        2       1 leaves                    → nothing
        90000   tick                        → nothing
        90001   2 asks for other            → stop e1
        90002   e1 exits                    → start e2 other
        90003   2 leaves                    → nothing
        90004   3 asks for 4k               → stop e2
        90006   e2 exits                    → start e3 4k
        90007   e3 ready                    → grant 3 e3
        90008   3 leaves                    → wake 90908
    """)


def test_the_engine_that_was_started_last_for_a_request(script: Script) -> None:
    assert script.scheduler.latest(VARIANTS["4k"]) is None
    script.play("""
        1   1 asks for 8k   → start e1 8k
        2   e1 exits        → refuse 1 EngineStartFailed
        3   2 asks for 4k   → start e2 4k
    """)
    assert script.scheduler.latest(VARIANTS["4k"]) is script.record("4k")
    assert script.scheduler.latest(VARIANTS["8k"]) is script.record("8k")
    assert script.record("8k").loaded_until(9.0) == 2.0


def test_what_was_asked_for_holds_in_the_model_s_other_variants(script: Script) -> None:
    script.play("""
        0    1 asks for 4k keeping inf   → start e1 4k
        1    e1 ready                    → grant 1 e1
        2    1 leaves                    → nothing
        3    2 asks for 8k               → stop e1
        4    e1 exits                    → start e2 8k
        5    e2 ready                    → grant 2 e2
        6    2 leaves                    → nothing
        7    3 asks for 4k               → grant 3 e2
        8    4 asks for 4k               → nothing
        9    3 leaves                    → grant 4 e2
        10   4 leaves                    → nothing
        11   5 asks for 4k               → grant 5 e2
        12   5 leaves                    → nothing
        13   6 asks for 4k               → grant 6 e2
        14   6 leaves                    → wake 314
        314  tick                        → stop e2
        315  e2 exits                    → start e3 4k
        316  e3 ready                    → nothing
    """)


def test_a_request_that_leaves_the_queue_keeps_nothing_loaded(script: Script) -> None:
    script.play("""
        0   1 asks for 4k keeping inf   → start e1 4k
        1   1 leaves                    → nothing
        2   e1 ready                    → wake 902
    """)


def test_a_return_says_again_what_it_said(script: Script) -> None:
    script.play("""
        0   1 asks for 4k keeping 7   → start e1 4k
        1   e1 ready                  → grant 1 e1
        2   e1 exits                  → nothing
        3   1 returns for 8k          → start e2 8k
        4   e2 ready                  → grant 1 e2
        5   1 leaves                  → wake 12
    """)


# -- An infinite idle time, as ``engine_idle_timeout = "never"`` sets it.


def test_an_engine_without_an_idle_time_stays_until_another_needs_its_room() -> None:
    never = replace(TIMEOUTS, idle=inf)
    script = Script({"4k": variant(4096, timeouts=never), "other": variant(4096, "other")})
    script.play("""
        0       1 asks for 4k               → start e1 4k
        1       e1 ready                    → grant 1 e1
        2       1 leaves                    → nothing
        90000   tick                        → nothing
        90000   2 asks for 4k keeping 5     → grant 2 e1
        90000   2 leaves                    → wake 90005
        90001   3 asks for 4k keeping inf   → grant 3 e1
        90002   3 leaves                    → nothing
        90009   tick                        → nothing
        90010   4 asks for other            → stop e1
        90011   e1 exits                    → start e2 other
    """)


def test_one_without_an_idle_time_still_makes_way_for_a_smaller_variant() -> None:
    never = replace(TIMEOUTS, idle=inf)
    variants = {"4k": variant(4096, timeouts=never), "8k": variant(8192, timeouts=never)}
    script = Script(variants, Policy(shrink_after=60, shrink_requests=1))
    script.play("""
        0   1 asks for 8k    → start e1 8k
        1   e1 ready         → grant 1 e1
        2   2 asks for 4k    → nothing
        3   1 leaves         → grant 2 e1
        4   2 leaves         → wake 64
        64  tick             → stop e1
        65  e1 exits         → start e2 4k
        66  e2 ready         → nothing
    """)
