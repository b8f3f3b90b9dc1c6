"""engine/scheduling/scheduler.py, rules 4 and 5: unwanted starts and failed starts."""

from __future__ import annotations

import pytest
from scheduler_script import Script, backed_off

from engine.scheduling.lifecycle import State
from utils.errors import (
    EngineStartFailed,
    EngineStartTimeout,
)

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


def test_an_unresponsive_engine_is_aborted_while_its_request_is_left_to_notice(
    script: Script,
) -> None:
    script.play("""
        0    1 asks for 4k       → start e1 4k
        1    e1 ready            → grant 1 e1
        1    2 asks for 4k       → nothing
        2    e1 too slow         → stop e1
        3    1 leaves            → nothing
        4    e1 exits            → start e2 4k
        5    e2 ready            → grant 2 e2
    """)
