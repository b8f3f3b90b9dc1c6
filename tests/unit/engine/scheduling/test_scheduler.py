"""engine/scheduling/scheduler.py: each rule of its docstring as scripts of events and effects."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from builders import TIMEOUTS, variant
from scheduler_script import Script

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy
from utils.errors import (
    EngineStartFailed,
    EngineStartTimeout,
    GatewayError,
    QueueFull,
    ShuttingDown,
)

VARIANTS = {
    "4k": variant(4096),
    "8k": variant(8192),
    "16k": variant(16384),
    "other": variant(4096, "other"),
}
PAIR = {
    "4k": variant(4096, parallel=2),
    "8k": variant(8192, parallel=2),
}


@pytest.fixture
def script() -> Script:
    return Script(VARIANTS)


@pytest.fixture
def pair() -> Script:
    return Script(PAIR)


def backed_off(script: Script, name: str) -> None:
    """The variant's start has failed twice, at 1 and 2; the third may be at 3."""
    script.play(f"""
        0   101 asks for {name}   → start e1 {name}
        1   e1 exits              → refuse 101 EngineStartFailed
        1   102 asks for {name}   → start e2 {name}
        2   e2 exits              → refuse 102 EngineStartFailed
    """)


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


# -- 4. A start nobody waits for any more goes on while no other is wanted.


def test_a_start_whose_only_waiter_has_left_goes_on_and_serves_the_next(script: Script) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        1   1 leaves          → nothing
        2   2 asks for 4k     → nothing
        3   e1 ready          → grant 2 e1
    """)


def test_a_start_nobody_waits_for_ends_in_an_idle_engine(script: Script) -> None:
    script.play("""
        0     1 asks for 8k   → start e1 8k
        1     1 leaves        → nothing
        10    e1 ready        → wake 910
        910   tick            → stop e1
        911   e1 exits        → nothing
    """)
    assert script.state("8k") is State.STOPPED


def test_a_start_goes_on_for_requests_that_still_wait(script: Script) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        1   2 asks for 8k     → nothing
        2   1 leaves          → nothing
        3   e1 ready          → grant 2 e1
    """)


def test_a_start_nobody_waits_for_may_fail_unnoticed(script: Script) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        1   1 leaves          → nothing
        2   e1 exits          → nothing
        3   2 asks for 8k     → start e2 8k
    """)


# -- 5. A failed start is told to all who waited for it; back-off; no failure is final.


def test_a_failed_start_is_told_to_all_its_requests_and_to_no_others(
    script: Script,
) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        0   2 asks for 4k     → nothing
        0   3 asks for 8k     → nothing
        0   4 asks for other  → nothing
        0   5 asks for 16k    → nothing
        1   e1 exits          → refuse 1 EngineStartFailed; refuse 3 EngineStartFailed; start e2 4k
        2   e2 ready          → grant 2 e2
    """)
    assert script.errors[1].message == "The engine m@8192 did not start: e1 fell over"
    assert script.scheduler.waiting == (4, 5)


def test_a_smaller_request_that_waited_for_a_larger_engine_gets_its_own(script: Script) -> None:
    script.play("""
        0   1 asks for 16k    → start e1 16k
        0   2 asks for 4k     → nothing
        1   1 leaves          → nothing
        2   e1 exits          → start e2 4k
        3   e2 ready          → grant 2 e2
    """)
    assert script.errors == {}


def test_after_the_first_failure_the_next_request_tries_at_once(script: Script) -> None:
    script.play("""
        0   1 asks for 8k     → start e1 8k
        1   e1 exits          → refuse 1 EngineStartFailed
        1   2 asks for 8k     → start e2 8k
        2   e2 ready          → grant 2 e2
    """)
    assert script.record("8k").failures == 0
    assert script.record("8k").reason == ""


def test_while_it_backs_off_the_same_answer_is_given_at_once(script: Script) -> None:
    backed_off(script, "8k")
    assert script.state("8k") is State.BACKOFF
    script.play("""
        2.25   1 asks for 8k   → refuse 1 EngineStartFailed
        2.5    2 asks for 4k   → start e3 4k
    """)
    error = script.errors[1]
    assert isinstance(error, EngineStartFailed)
    assert error.message == "The engine m@8192 did not start: e2 fell over"
    assert error.retry_after == pytest.approx(0.75)


def test_the_end_of_the_back_off_allows_another_try(script: Script) -> None:
    backed_off(script, "8k")
    script.play("""
        3   1 asks for 8k     → start e3 8k
        4   e3 ready          → grant 1 e3
        5   1 leaves          → wake 905
    """)


def test_no_running_engine_is_given_up_for_one_that_may_not_start(script: Script) -> None:
    backed_off(script, "8k")
    script.play("""
        2     1 asks for 4k   → start e3 4k
        2     2 asks for 8k   → nothing
        2.1   e3 ready        → grant 1 e3; refuse 2 EngineStartFailed
        2.2   3 asks for 8k   → refuse 3 EngineStartFailed
        2.3   1 leaves        → wake 902.3
        2.4   4 asks for 8k   → refuse 4 EngineStartFailed; wake 902.3
        2.5   5 asks for 4k   → grant 5 e3
        3     6 asks for 8k   → nothing
        3.1   5 leaves        → stop e3
        3.2   e3 exits        → start e4 8k
    """)


def test_a_larger_engine_serves_although_the_own_one_backs_off(script: Script) -> None:
    backed_off(script, "4k")
    script.play("""
        2     1 asks for 8k   → start e3 8k
        2.1   2 asks for 4k   → nothing
        2.2   e3 ready        → grant 1 e3
        2.3   1 leaves        → grant 2 e3
    """)


def test_a_refusal_in_the_queue_makes_way_for_the_next(script: Script) -> None:
    backed_off(script, "8k")
    script.play("""
        2     1 asks for other  → start e3 other
        2     2 asks for 8k     → nothing
        2     3 asks for other  → nothing
        2     4 asks for 8k     → nothing
        2.5   e3 exits          → refuse 1 EngineStartFailed; refuse 3 EngineStartFailed; \
refuse 2 EngineStartFailed; refuse 4 EngineStartFailed
    """)


def test_repeated_failures_end_in_a_state_that_is_not_final(script: Script) -> None:
    states, waits = [], []
    now = 0.0
    for failure in range(1, 8):
        script.play(f"""
            {now:g}     {failure} asks for 4k   → start e{failure} 4k
            {now:g}     e{failure} exits        → refuse {failure} EngineStartFailed
        """)
        record = script.record("4k")
        states.append(record.state)
        waits.append(record.retry_at - now)
        now = record.retry_at
    assert waits == [0, 1, 2, 4, 60, 60, 60]
    assert states == [State.BACKOFF] * 4 + [State.FAILED] * 3
    script.play(f"""
        {now - 1:g}   50 asks for 4k   → refuse 50 EngineStartFailed
        {now:g}       51 asks for 4k   → start e8 4k
        {now:g}       e8 ready         → grant 51 e8
        {now:g}       e8 exits         → nothing
        {now:g}       51 returns for 4k   → start e9 4k
    """)


def test_an_engine_too_slow_to_start_is_aborted_and_its_waiters_are_told_why(
    script: Script,
) -> None:
    script.play("""
        0     1 asks for 8k   → start e1 8k
        0     2 asks for 4k   → nothing
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   3 asks for 8k   → nothing
        301   e1 ready        → nothing
        302   e1 exits        → start e2 4k
        303   e2 ready        → grant 2 e2
    """)
    assert isinstance(script.errors[1], EngineStartTimeout)
    assert script.record("8k").failures == 1
    assert script.record("8k").reason == "e1 was not ready in time"


def test_an_engine_too_slow_twice_backs_off_with_that_reason(script: Script) -> None:
    script.play("""
        0     1 asks for 8k   → start e1 8k
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   2 asks for 8k   → nothing
        302   e1 exits        → start e2 8k
        602   e2 too slow     → refuse 2 EngineStartTimeout; stop e2
        602   3 asks for 8k   → nothing
        603   e2 exits        → refuse 3 EngineStartFailed
    """)
    assert script.errors[3].message == "The engine m@8192 did not start: e2 was not ready in time"


def test_a_crash_while_idle_is_no_failed_start(script: Script) -> None:
    script.play("""
        0    1 asks for 4k   → start e1 4k
        1    e1 ready        → grant 1 e1
        2    1 leaves        → wake 902
        3    e1 exits        → nothing
        4    2 asks for 4k   → start e2 4k
    """)
    assert script.record("4k").failures == 0


def test_a_crash_while_serving_starts_anew_for_returning_and_waiting_requests(
    script: Script,
) -> None:
    script.play("""
        0    1 asks for 4k       → start e1 4k
        1    e1 ready            → grant 1 e1
        2    e1 exits            → nothing
        3    1 returns for 4k    → start e2 4k
        4    e2 ready            → grant 1 e2
        5    2 asks for 4k       → nothing
        6    e2 exits            → start e3 4k
        7    e3 ready            → grant 2 e3
        8    1 returns for 4k    → nothing
        9    2 leaves            → grant 1 e3
    """)


def test_a_request_of_a_crashed_engine_takes_no_slot_of_the_next_one(script: Script) -> None:
    script.play("""
        0    1 asks for 4k       → start e1 4k
        1    e1 ready            → grant 1 e1
        2    e1 exits            → nothing
        3    2 asks for 4k       → start e2 4k
        4    e2 ready            → grant 2 e2
        5    1 leaves            → nothing
        6    3 asks for 4k       → nothing
        7    2 leaves            → grant 3 e2
    """)
    assert script.record("4k").active == {3}


def test_a_deaf_engine_is_aborted_while_its_request_is_left_to_notice(script: Script) -> None:
    script.play("""
        0    1 asks for 4k       → start e1 4k
        1    e1 ready            → grant 1 e1
        1    2 asks for 4k       → nothing
        2    e1 too slow         → stop e1
        3    1 leaves            → nothing
        4    e1 exits            → start e2 4k
        5    e2 ready            → grant 2 e2
    """)


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


def used_large(script: Script, small: int = 4) -> None:
    """Return a 16k engine that served a large request at 1, then ``small`` small ones at 2."""
    script.play("""
        0   100 asks for 16k   → start e1 16k
        1   e1 ready           → grant 100 e1
        1   100 leaves         → wake 901
    """)
    for request in range(101, 101 + small):
        last = request == 100 + small and small >= 4
        script.play(f"""
            2   {request} asks for 4k   → grant {request} e1
            2   {request} leaves        → wake {302 if last else 902}
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


# -- 7. While draining, waiting requests are refused, and engines stop when they are free.


def test_drain_lets_requests_in_flight_end_and_refuses_the_others(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for 4k     → nothing
        0   3 asks for 4k     → nothing
        1   e1 ready          → grant 1 e1; grant 2 e1
        2   drain             → refuse 3 ShuttingDown
        2   drain             → nothing
        3   4 asks for 4k     → refuse 4 ShuttingDown
        4   1 leaves          → nothing
        5   2 leaves          → stop e1
        5   drain             → nothing
        6   e1 exits          → nothing
        7   5 asks for 4k     → refuse 5 ShuttingDown
    """)
    assert pair.state("4k") is State.STOPPED
    assert isinstance(pair.errors[5], ShuttingDown)


def test_drain_refuses_returning_requests(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k         → start e1 4k
        0   2 asks for 4k         → nothing
        1   e1 ready              → grant 1 e1; grant 2 e1
        2   drain                 → nothing
        3   1 returns for 8k      → refuse 1 ShuttingDown
        4   2 returns for 4k      → stop e1; refuse 2 ShuttingDown
        5   e1 exits              → nothing
    """)


def test_drain_stops_a_starting_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   drain             → refuse 1 ShuttingDown; stop e1
        1   e1 ready          → nothing
        1   e1 too slow       → nothing
        2   1 leaves          → nothing
        3   e1 exits          → nothing
    """)


def test_drain_stops_an_idle_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   1 leaves          → wake 902
        3   drain             → stop e1
        4   e1 exits          → nothing
        5   tick              → nothing
    """)


def test_drain_finds_an_engine_that_backs_off_and_one_that_stops_already(script: Script) -> None:
    backed_off(script, "8k")
    script.play("""
        2     1 asks for 4k     → start e3 4k
        2     2 asks for other  → nothing
        2.5   1 leaves          → stop e3
        3     drain             → refuse 2 ShuttingDown
        4     e3 exits          → nothing
        4     drain             → nothing
    """)
    assert script.state("8k") is State.BACKOFF


def test_drain_starts_no_smaller_engine(script: Script) -> None:
    used_large(script)
    script.play("""
        302   tick            → stop e1
        302   drain           → nothing
        303   e1 exits        → nothing
    """)


def test_drain_waits_for_an_engine_that_is_being_aborted(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   drain           → nothing
        302   e1 exits        → nothing
    """)


def test_a_draining_engine_that_goes_deaf_or_dies_is_gone_all_the_same(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   drain             → nothing
        3   e1 too slow       → stop e1
        4   e1 exits          → nothing
        5   1 leaves          → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_a_crash_while_draining_leaves_nothing_to_stop(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   drain             → nothing
        3   e1 exits          → nothing
        4   1 leaves          → nothing
    """)
    assert script.state("4k") is State.STOPPED


@pytest.mark.parametrize(
    "before",
    [
        "",
        "1 e1 ready → grant 1 e1",
        "1 e1 ready → grant 1 e1 \n 2 1 leaves → wake 902",
        "1 e1 ready → grant 1 e1 \n 2 drain → nothing",
    ],
    ids=["starting", "active", "idle", "draining"],
)
def test_halt_stops_an_engine_whatever_it_does(script: Script, before: str) -> None:
    script.play("0   1 asks for 4k   → start e1 4k")
    script.play(before)
    refused = "refuse 1 ShuttingDown; " if script.scheduler.waiting else ""
    script.play(f"""
        5   halt              → {refused}stop e1
        5   halt              → nothing
        6   1 leaves          → nothing
        7   e1 exits          → nothing
        8   2 asks for 4k     → refuse 2 ShuttingDown
    """)
    assert script.state("4k") is State.STOPPED


def test_halt_repeats_the_wish_for_an_engine_that_is_being_aborted(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   halt            → stop e1
        302   e1 exits        → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_halt_without_an_engine_only_closes(script: Script) -> None:
    script.play("""
        0   halt              → nothing
        1   1 asks for 4k     → refuse 1 ShuttingDown
    """)


# -- Tickets that nobody owns any more


@pytest.mark.parametrize("stale", ["ready", "too slow", "exits"])
@pytest.mark.parametrize("ticket", ["e1", "e99"])
def test_a_late_report_of_an_engine_changes_nothing(
    script: Script, stale: str, ticket: str
) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 exits          → refuse 1 EngineStartFailed
        2   2 asks for 4k     → start e2 4k
    """)
    before = script.snapshot()
    script.play(f"3   {ticket} {stale}   → nothing")
    assert script.snapshot() == before
    script.play("4   e2 ready   → grant 2 e2")


def test_an_engine_is_ready_once(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   e1 ready          → nothing
    """)


def test_a_request_that_is_unknown_or_has_ended_leaves_without_effect(script: Script) -> None:
    script.play("""
        0   1 leaves          → nothing
        0   2 asks for 4k     → start e1 4k
        1   e1 ready          → grant 2 e1
        2   2 leaves          → wake 902
        3   2 leaves          → wake 902
    """)


def test_records_stand_in_the_order_of_the_configuration(script: Script) -> None:
    assert [record.variant for record in script.scheduler.records] == list(VARIANTS.values())
    assert script.scheduler.live() is None
    script.play("0   1 asks for 8k   → start e1 8k")
    assert script.scheduler.live() is script.record("8k")


def test_what_is_refused_carries_an_error_for_a_client() -> None:
    script = Script(VARIANTS, Policy(max_queue=1))
    effects = [
        effect
        for request in range(3)
        for effect in script.scheduler.handle(ev.Arrived(request, VARIANTS["4k"], 0.0))
    ]
    assert [type(effect) for effect in effects] == [ev.StartEngine, ev.Refuse, ev.Refuse]
    assert all(isinstance(e.error, GatewayError) for e in effects if isinstance(e, ev.Refuse))


def test_the_snapshot_shows_waiting_requests_and_changes() -> None:
    world = Script({"4k": variant(4096)})
    world.play("0 1 asks for 4k → start e1 4k")
    world.play("0 2 asks for 4k → nothing")
    seen = world.scheduler
    assert seen.queued == 2
    assert seen.waiting == tuple(each.request for each in seen.line(1.0)) == (1, 2)
    (change,) = seen.changes()
    assert (change.engine, change.before, change.after) == (1, State.STOPPED, State.STARTING)
    assert not seen.changes()


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
