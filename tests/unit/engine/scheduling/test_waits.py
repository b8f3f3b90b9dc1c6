"""engine/scheduling/waits.py: why requests wait, as the scheduler tells it."""

from __future__ import annotations

from dataclasses import replace

from builders import variant
from scheduler_script import Script

from engine.scheduling.scheduler import Limits, Policy

GIB = 1 << 30
VARIANTS = {
    "a": variant(4096, "a", needs={"ram": 3 * GIB}),
    "b": variant(4096, "b", needs={"ram": 3 * GIB}),
    "c": variant(4096, "c", needs={"ram": 3 * GIB}),
}
ROOM = Limits(3, resources={"ram": 5 * GIB})
ONE = replace(ROOM, max_loaded=1)


def told(script: Script, request: int, now: float = 9.0) -> str:
    wait = script.scheduler.why_waits(request, now)
    assert wait is not None
    assert wait.view()["text"] == wait.sentence()
    return wait.sentence()


def test_its_engine_loads_or_has_no_slot() -> None:
    script = Script(VARIANTS, limits=ROOM)
    script.play("""
        0   1 asks for a   → start e1 a
        1   2 asks for a   → nothing
    """)
    assert told(script, 1) == (
        "When it came, a@4096 was not ready yet; it was at place 1 of the queue."
    )
    script.play("""
        2   e1 ready       → grant 1 e1
        3   3 asks for a   → nothing
    """)
    assert told(script, 3) == (
        "When it came, every slot of a@4096 was in use; it was at place 2 of the queue."
    )
    assert script.scheduler.why_waits(1, 9.0) is None


def test_the_room_is_in_use_ends_or_is_kept() -> None:
    script = Script(VARIANTS, limits=ROOM)
    script.play("""
        0   1 asks for a   → start e1 a
        1   e1 ready       → grant 1 e1
        2   2 asks for b   → nothing
    """)
    wait = script.scheduler.why_waits(2, 9.0)
    assert wait is not None
    assert (wait.kind, wait.wanted, wait.engines) == ("busy", "b@4096", ("a@4096",))
    assert wait.short == {"ram": GIB}
    assert wait.sentence() == (
        "When it came, there was no room for b@4096 until the requests of a@4096 had ended:"
        " not enough ram (1.0 GiB missing); it was at place 1 of the queue."
    )
    # The engine that must make way takes no more, and the room that it leaves is promised.
    script.play("""
        3   3 asks for a   → nothing
        4   4 asks for c   → nothing
    """)
    assert "a@4096 took no more requests, to make way for an earlier one" in told(script, 3)
    assert "no room for c@4096 beside b@4096, kept for other requests" in told(script, 4)
    script.play("5   1 leaves   → stop e1")
    assert told(script, 2) == (
        "When it came, a@4096 had not ended yet, to make way for b@4096;"
        " it was at place 1 of the queue."
    )


def test_others_keep_the_room_for_now() -> None:
    policy = Policy(max_switch_wait=30, min_residency=5)
    script = Script(VARIANTS, policy, ONE)
    script.play("""
        0   1 asks for a   → start e1 a
        1   e1 ready       → grant 1 e1
        2   2 asks for b   → nothing
    """)
    assert "no room for b@4096 beside a@4096, kept for other requests: not" in told(script, 2)


def test_those_with_the_same_wish_have_the_same_reason() -> None:
    script = Script(VARIANTS, limits=ONE)
    script.play("""
        0   1 asks for a   → start e1 a
        1   e1 ready       → grant 1 e1
    """)
    for request in (2, 3, 4):
        script.play(f"2   {request} asks for b   → nothing")
    waits = [script.scheduler.why_waits(request, 9.0) for request in (2, 3, 4)]
    assert [wait and (wait.kind, wait.place) for wait in waits] == [
        ("busy", place) for place in (1, 2, 3)
    ]
