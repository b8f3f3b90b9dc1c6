"""server/records/decisions.py: the last reasons, for the page about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from builders import variant

from engine.observer import Changed
from engine.scheduling.lifecycle import State
from engine.scheduling.reasons import Why
from server.records.decisions import ROOM, Decisions
from utils.errors import EngineStartFailed, QueueFull, ShuttingDown

IN_FLIGHT: Any = [SimpleNamespace(ticket=7, id="r7", model="big")]


def test_an_eviction_names_the_request_that_wanted_it() -> None:
    decisions = Decisions()
    why = Why("count", "big@8192", 7)
    change = Changed(1, variant(4096), State.READY, State.STOPPING, "", 1.0, why)
    assert decisions.changed(change, IN_FLIGHT, 5.0) is not None
    exited = Changed(1, variant(4096), State.STOPPING, State.STOPPED, "", 1.0, why)
    assert decisions.changed(exited, IN_FLIGHT, 6.0) is None
    [entry] = decisions.newest()
    assert (entry["kind"], entry["request"], entry["at"]) == ("count", "r7", 5.0)
    assert entry["text"].startswith("m@4096 makes way for big@8192")


def test_a_failure_is_told_once_with_its_reason() -> None:
    decisions = Decisions()
    for before, after in ((State.STARTING, State.BACKOFF), (State.BACKOFF, State.FAILED)):
        decisions.changed(Changed(1, variant(4096), before, after, "no file", 0.0), (), 1.0)
    assert [each["text"] for each in decisions.newest()] == ["m@4096 failed: no file"]


def test_refusals_of_one_kind_are_counted_and_a_stop_is_none() -> None:
    decisions = Decisions()
    for number in range(3):
        decisions.refused(7, QueueFull(f"{number} wait.", 1.0), IN_FLIGHT, float(number))
    decisions.refused(8, EngineStartFailed("No room.", 0.0), (), 4.0)
    assert decisions.refused(7, ShuttingDown("It stops."), IN_FLIGHT, 5.0) is None
    last, full = decisions.newest()
    assert (last["text"], last["model"], last["request"]) == ("No room.", None, None)
    assert (full["times"], full["at"], full["text"]) == (3, 2.0, "2 wait.")


def test_only_the_last_are_kept() -> None:
    decisions = Decisions()
    for number in range(ROOM + 5):
        change = Changed(
            1, variant(number + 1), State.READY, State.STOPPING, "", 0, Why("operator")
        )
        decisions.changed(change, (), float(number))
    assert len(decisions.newest()) == ROOM
