"""The scheduler on what comes next: larger variants loaded early, files read ahead, load times."""

from __future__ import annotations

from builders import variant
from scheduler_script import Script

from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Limits, Policy, Scheduler

VARIANTS = {
    "4k": variant(4096),
    "8k": variant(8192),
    "16k": variant(16384),
    "other": variant(4096, "other"),
}


def script(limits: Limits | None = None) -> Script:
    return Script(VARIANTS, Policy(), limits)


def upcoming(s: Script, now: float = 0.0) -> str | None:
    found = s.scheduler.upcoming(now)
    return None if found is None else next(n for n, v in VARIANTS.items() if v is found)


ANSWERED = """
    0   1 asks for 4k               → start e1 4k
    1   e1 ready                    → grant 1 e1
"""


# -- 6. The larger variant is loaded as soon as the conversation will need it.


def test_the_larger_one_replaces_it_at_once() -> None:
    s = script()
    s.play(ANSWERED)
    s.play("""
        2   1 leaves outgrown by 8k     → stop e1
        3   e1 exits                    → start e2 8k
        4   e2 ready                    → wake 904
        5   2 asks for 8k               → grant 2 e2
        6   2 leaves                    → wake 906
    """)


def test_a_waiting_request_comes_first() -> None:
    s = script()
    s.play(ANSWERED)
    s.play("""
        2   2 asks for other            → nothing
        3   1 leaves outgrown by 8k     → stop e1
        4   e1 exits                    → start e2 other
        5   e2 ready                    → grant 2 e2
        6   2 leaves                    → wake 906
    """)


def test_the_next_request_of_the_engine_decides_anew() -> None:
    s = script()
    s.play(ANSWERED)
    s.play("""
        2   2 asks for 4k               → nothing
        3   1 leaves outgrown by 8k     → grant 2 e1
        4   2 leaves                    → wake 904
    """)


def test_not_while_it_may_not_be_started() -> None:
    s = script()
    s.play("""
        0     1 asks for 8k               → start e1 8k
        1     e1 exits                    → refuse 1 EngineStartFailed
        1     2 asks for 8k               → start e2 8k
        2     e2 exits                    → refuse 2 EngineStartFailed
        2     3 asks for 4k               → start e3 4k
        2.1   e3 ready                    → grant 3 e3
        2.2   3 leaves outgrown by 8k     → wake 902.2
    """)


def test_not_where_there_is_no_room() -> None:
    takes = {"m@4096": {"ram": 2}, "m@8192": {"ram": 8}, "other@4096": {"ram": 3}}
    s = script(Limits(2, resources={"ram": 10}, learnt=takes))
    s.play("""
        0   1 asks for other            → start e1 other
        1   e1 ready                    → grant 1 e1
        1   2 asks for 4k               → start e2 4k
        2   e2 ready                    → grant 2 e2
        3   2 leaves outgrown by 8k     → wake 903
    """)


def test_an_engine_that_is_to_end_is_not_replaced() -> None:
    s = script()
    s.play("""
        0   1 asks for 4k keeping 0     → start e1 4k
        1   e1 ready                    → grant 1 e1
        2   1 leaves outgrown by 8k     → stop e1
        3   e1 exits                    → nothing
    """)


def test_an_engine_that_has_ended_since_forgets_it() -> None:
    s = script()
    s.play(ANSWERED)
    s.play("""
        2   e1 exits                    → nothing
        3   1 leaves outgrown by 8k     → nothing
        4   2 asks for 4k               → start e2 4k
        5   2 leaves                    → nothing
        6   e2 ready                    → wake 906
    """)


def test_nothing_follows_a_variant_that_is_gone() -> None:
    s = script()
    s.configure("less", "4k", kept=("4k",))
    s.play(ANSWERED)
    s.play("""
        2   configured as less          → nothing
        3   1 leaves outgrown by 8k     → wake 903
    """)


# -- whose files are read ahead


def test_a_variant_that_waits_for_room_is_upcoming() -> None:
    s = script()
    assert upcoming(s) is None
    s.play("0  1 asks for 4k  → start e1 4k")
    assert upcoming(s) is None
    s.play("1  2 asks for other  → nothing")
    # The disk is busy with the one that loads.
    assert upcoming(s, 1) is None
    s.play("2  e1 ready  → grant 1 e1")
    assert upcoming(s, 2) == "other"
    s.play("3  3 asks for 4k  → nothing")
    assert upcoming(s, 3) == "other"
    s.play("""
        4   1 leaves   → stop e1
        4   2 leaves   → nothing
    """)
    assert upcoming(s, 4) == "4k"


def test_a_larger_variant_is_upcoming_too() -> None:
    s = script()
    s.play(ANSWERED)
    s.play("2  2 asks for 4k  → nothing")
    assert upcoming(s, 2) is None
    s.play("3  3 asks for 8k  → nothing")
    assert upcoming(s, 3) == "8k"


# -- load times


def test_load_times_of_before_hold_until_there_are_own() -> None:
    s = Scheduler(VARIANTS.values(), Policy(), None, {"m@4096": 7.0})
    assert [record.load_seconds for record in s.records] == [7.0, 0.0, 0.0, 0.0]
    told = script()
    told.scheduler = s
    told.configure("same", *VARIANTS, kept=tuple(VARIANTS))
    told.configurations["same"]["loads"] = {"m@4096": 8.0, "m@8192": 9.0}
    told.play("0  configured as same  → nothing")
    assert [record.load_seconds for record in s.records] == [7.0, 9.0, 0.0, 0.0]
    told.play("""
        1   1 asks for 4k   → start e1 4k
        3   e1 ready        → grant 1 e1
    """)
    assert told.record("4k").load_seconds == 2.0
    assert told.state("4k") is State.READY
