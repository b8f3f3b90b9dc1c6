"""engine/observer.py: what the scheduler tells of its engines' states."""

from __future__ import annotations

from builders import variant
from scheduler_script import Script

from engine.observer import Changed, Observer
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy


def told(script: Script) -> list[tuple[str, str, str]]:
    changes = script.scheduler.changes()
    assert script.scheduler.changes() == []
    return [(change.after.value, change.variant.label, change.reason) for change in changes]


def test_each_change_is_told_once_with_its_reason() -> None:
    script = Script({"4k": variant(4096)})
    assert told(script) == []
    script.play("""
        0   1 asks for 4k   → start e1 4k
        2   e1 ready        → grant 1 e1
    """)
    label = variant(4096).label
    assert told(script) == [("starting", label, ""), ("ready", label, "")]
    script.play("3  e1 exits  → nothing")
    assert told(script) == [("backoff", label, "e1 fell over")]


def test_a_change_knows_its_run_and_how_long_it_loaded() -> None:
    script = Script({"4k": variant(4096)})
    script.play("""
        0   1 asks for 4k   → start e1 4k
        2   e1 ready        → grant 1 e1
    """)
    last = script.scheduler.changes()[-1]
    assert last == Changed(1, variant(4096), State.STARTING, State.READY, "", 2.0)


def test_waiting_requests_are_shown_in_order() -> None:
    script = Script({"4k": variant(4096)}, Policy(max_switch_wait=30))
    script.play("""
        0   1 asks for 4k           → start e1 4k
        1   2 asks for 4k           → nothing
        2   3 asks for 4k at high   → nothing
    """)
    assert [waiting.request for waiting in script.scheduler.line(2.0)] == [3, 1, 2]
    assert script.scheduler.queued == 3


def test_an_observer_may_leave_out_what_it_does_not_want_to_know() -> None:
    observer = Observer()
    observer.changed(Changed(1, variant(), State.STARTING, State.READY, "", 2.0))
    observer.waiting(3)
    observer.loading(variant(), 50.0)
    observer.said(variant(), "line")
