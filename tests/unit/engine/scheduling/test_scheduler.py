"""engine/scheduling/scheduler.py, rules 1 to 3: starts, turns, and which engine serves."""

from __future__ import annotations

import pytest
from scheduler_script import PAIR, VARIANTS, Script

from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy
from utils.errors import (
    QueueFull,
)

# -- 1. One engine lives at a time. The next starts only after the last one's exit.


def test_the_first_request_starts_its_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        2   e1 ready          → grant 1 e1
        5   1 leaves          → wake 905
    """)
    assert script.state("8k") is State.READY


def test_another_model_starts_after_the_exit_of_the_one_before(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for other  → nothing
        3   1 leaves          → stop e1
        4   tick              → nothing
        5   e1 exits          → start e2 other
        6   e2 ready          → grant 2 e2
    """)


def test_the_same_variant_is_not_started_before_its_own_last_run_has_ended(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        1     e1 ready        → grant 1 e1
        2     1 leaves        → wake 902
        902   tick            → stop e1
        902   2 asks for 4k   → nothing
        903   3 asks for 4k   → nothing
        904   e1 exits        → start e2 4k
        905   e2 ready        → grant 2 e2
        906   2 leaves        → grant 3 e2
    """)


def test_a_start_that_somebody_behind_the_head_waits_for_goes_on_and_serves_him_first(
    script: Script,
) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   2 asks for other  → nothing
        2   3 asks for 4k     → nothing
        3   1 leaves          → nothing
        3   4 asks for 4k     → nothing
        4   e1 ready          → grant 3 e1
        5   3 leaves          → stop e1
        6   e1 exits          → start e2 other
        7   e2 ready          → grant 2 e2
    """)


# -- 2. In the order of arrival; a return keeps its turn; at most max_queue wait.


def test_requests_are_served_in_the_order_of_their_arrival(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   2 asks for 4k     → nothing
        1   3 asks for 4k     → nothing
        2   e1 ready          → grant 1 e1
        3   1 leaves          → grant 2 e1
        4   2 leaves          → grant 3 e1
        5   3 leaves          → wake 905
    """)


def test_nobody_overtakes_a_request_that_waits_for_another_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for 16k    → nothing
        3   3 asks for 4k     → nothing
        4   1 leaves          → stop e1
        5   e1 exits          → start e2 16k
        6   e2 ready          → grant 2 e2
        7   2 leaves          → grant 3 e2
    """)
    assert script.scheduler.waiting == ()


def test_a_free_place_is_no_way_past_the_head_of_the_queue(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for 8k     → nothing
        3   3 asks for 4k     → nothing
    """)
    assert pair.scheduler.waiting == (2, 3)


def test_a_request_that_leaves_the_queue_makes_room_for_the_next(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for 16k    → nothing
        3   3 asks for 4k     → nothing
        4   2 leaves          → nothing
        5   1 leaves          → grant 3 e1
    """)


def test_a_request_that_returns_for_a_larger_engine_keeps_its_turn(script: Script) -> None:
    script.play("""
        0   1 asks for 4k         → start e1 4k
        1   e1 ready              → grant 1 e1
        2   2 asks for 4k         → nothing
        3   1 returns for 16k     → stop e1
        4   e1 exits              → start e2 16k
        5   e2 ready              → grant 1 e2
        6   1 leaves              → grant 2 e2
    """)


def test_a_request_that_returns_to_a_living_engine_has_it_again(script: Script) -> None:
    script.play("""
        0   1 asks for 4k       → start e1 4k
        1   e1 ready            → grant 1 e1
        2   2 asks for 4k       → nothing
        3   1 returns for 4k    → grant 1 e1
        4   1 leaves            → grant 2 e1
    """)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_requests_that_return_after_a_crash_keep_their_order(
    pair: Script, first: int, second: int
) -> None:
    pair.play(f"""
        0   1 asks for 4k               → start e1 4k
        0   2 asks for 4k               → nothing
        0   3 asks for 4k               → nothing
        1   e1 ready                    → grant 1 e1; grant 2 e1
        2   e1 exits                    → start e2 4k
        3   {first} returns for 4k      → nothing
        3   {second} returns for 4k     → nothing
        4   e2 ready                    → grant 1 e2; grant 2 e2
    """)
    assert pair.scheduler.waiting == (3,)


def test_at_most_max_queue_wait(script: Script) -> None:
    script = Script(VARIANTS, Policy(max_queue=2))
    script.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for 4k     → nothing
        0   3 asks for 4k     → refuse 3 QueueFull
        1   e1 ready          → grant 1 e1
        2   4 asks for 4k     → nothing
        2   5 asks for other  → refuse 5 QueueFull
        3   2 leaves          → nothing
        3   6 asks for 4k     → nothing
    """)
    assert script.scheduler.waiting == (4, 6)
    loading = "2 requests are waiting already while m@4096 loads. Try again later."
    assert script.errors[3].message == loading
    assert script.errors[5].message == "2 requests are waiting already. Try again later."


def test_a_request_served_at_once_does_not_count_as_waiting() -> None:
    script = Script(PAIR, Policy(max_queue=1))
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   2 asks for 4k     → grant 2 e1
        3   3 asks for 4k     → nothing
        4   4 asks for 4k     → refuse 4 QueueFull
    """)


def test_a_return_is_never_refused_for_the_queue() -> None:
    script = Script(VARIANTS, Policy(max_queue=1))
    script.play("""
        0   1 asks for 4k       → start e1 4k
        1   e1 ready            → grant 1 e1
        2   2 asks for 4k       → nothing
        3   1 returns for 8k    → stop e1
        4   3 asks for 4k       → refuse 3 QueueFull
        5   e1 exits            → start e2 8k
    """)
    assert script.scheduler.waiting == (1, 2)


def test_the_wait_that_a_full_queue_advises_follows_how_long_requests_take() -> None:
    script = Script(VARIANTS, Policy(max_queue=2))

    def advised() -> float:
        error = script.errors.popitem()[1]
        assert isinstance(error, QueueFull)
        return error.retry_after

    script.play("""
        0     1 asks for 4k   → start e1 4k
        0     2 asks for 4k   → nothing
        0     9 asks for 4k   → refuse 9 QueueFull
    """)
    assert advised() == 2.0
    script.play("""
        1     e1 ready        → grant 1 e1
        12    1 leaves        → grant 2 e1
        12    3 asks for 4k   → nothing
        12    4 asks for 4k   → nothing
        12    9 asks for 4k   → refuse 9 QueueFull
    """)
    # 1 s, and a fifth of the way to 11 s; for each of the two who wait.
    assert advised() == pytest.approx(2 * 3.0)
    script.play("""
        999   2 leaves        → grant 3 e1
        999   5 asks for 4k   → nothing
        999   9 asks for 4k   → refuse 9 QueueFull
    """)
    assert advised() == 60.0


def test_a_load_that_goes_on_counts_for_the_advice_as_far_as_it_is_known() -> None:
    script = Script(VARIANTS, Policy(max_queue=1))
    script.play("""
        0    1 asks for 4k   → start e1 4k
        0    1 leaves        → nothing
        20   e1 ready        → wake 920
        21   e1 exits        → nothing
        30   2 asks for 4k   → start e2 4k
        36   9 asks for 4k   → refuse 9 QueueFull
        59   8 asks for 4k   → refuse 8 QueueFull
    """)
    early, late = script.errors[9], script.errors[8]
    assert isinstance(early, QueueFull)
    assert isinstance(late, QueueFull)
    assert early.retry_after == 14.0 + 1.0, "the rest of the load, and one request"
    assert late.retry_after == 1.0


def test_no_wait_shorter_than_a_second_is_advised() -> None:
    script = Script(VARIANTS, Policy(max_queue=1))
    script.play("""
        0   1 asks for 4k     → start e1 4k
        0   e1 ready          → grant 1 e1
        0   2 asks for 4k     → nothing
        0   1 leaves          → grant 2 e1
        0   3 asks for 4k     → nothing
        0   9 asks for 4k     → refuse 9 QueueFull
    """)
    error = script.errors[9]
    assert isinstance(error, QueueFull)
    assert error.retry_after == 1.0


# -- 3. A running engine serves what fits it; what it cannot serve waits for its turn.


def test_a_larger_engine_serves_a_smaller_request(script: Script) -> None:
    script.play("""
        0   1 asks for 16k    → start e1 16k
        1   2 asks for 4k     → nothing
        2   e1 ready          → grant 1 e1
        3   1 leaves          → grant 2 e1
        4   2 leaves          → wake 904
    """)


def test_a_context_that_is_just_enough_serves_and_another_model_does_not(script: Script) -> None:
    record = script.record("8k")
    assert record.serves(VARIANTS["8k"])
    assert record.serves(VARIANTS["4k"])
    assert not record.serves(VARIANTS["16k"])
    assert not record.serves(VARIANTS["other"])


def test_as_many_at_once_as_the_engine_has_places(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for 4k     → nothing
        0   3 asks for 4k     → nothing
        1   e1 ready          → grant 1 e1; grant 2 e1
        2   2 leaves          → grant 3 e1
        3   1 leaves          → nothing
        4   3 leaves          → wake 904
    """)


def test_growth_waits_until_all_requests_on_the_engine_have_ended(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for 4k     → nothing
        1   e1 ready          → grant 1 e1; grant 2 e1
        2   3 asks for 8k     → nothing
        3   1 leaves          → nothing
        4   2 leaves          → stop e1
        5   e1 exits          → start e2 8k
        6   e2 ready          → grant 3 e2
    """)


def test_a_return_for_a_larger_engine_waits_for_its_neighbour(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k         → start e1 4k
        0   2 asks for 4k         → nothing
        1   e1 ready              → grant 1 e1; grant 2 e1
        2   1 returns for 8k      → nothing
        3   3 asks for 4k         → nothing
        4   2 leaves              → stop e1
        5   e1 exits              → start e2 8k
        6   e2 ready              → grant 1 e2; grant 3 e2
    """)


def test_an_idle_engine_that_is_too_small_makes_room_at_once(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   1 leaves          → wake 902
        3   2 asks for 8k     → stop e1
        4   e1 exits          → start e2 8k
    """)


def test_a_starting_engine_that_is_too_small_makes_room_at_once(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   1 leaves          → nothing
        2   2 asks for 8k     → stop e1
        2   e1 ready          → nothing
        3   e1 exits          → start e2 8k
    """)
