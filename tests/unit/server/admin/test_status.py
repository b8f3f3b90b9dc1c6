"""server/admin/status.py: what /running shows."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from builders import variant

from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.lifecycle import State
from engine.scheduling.queue import Priority, Waiting
from inference.in_flight import Ongoing
from server.access_log import AccessRecord
from server.admin.status import Sight, running_view

SMALL, LARGE, OTHER = variant(4096), variant(8192), variant(4096, "other")
NOW = 1000.0


def ongoing(ticket: int | None = None, events: int = 0, **facts: Any) -> Ongoing:
    record = AccessRecord(
        "POST", path="/v1/chat/completions", started=990.0, id=f"id{ticket}", **facts
    )
    record.ticket = ticket
    record.tally.add(b"data: " * events)
    return Ongoing(record)


def sight(engine: EngineRecord, idle: float = 300.0) -> Sight:
    if engine.state.live:
        return Sight(engine, 77, "http://127.0.0.1:1", idle)
    return Sight(engine, None, None, idle)


def test_engines_that_rest_are_left_out_unless_they_failed() -> None:
    failed = EngineRecord(LARGE, State.BACKOFF, reason="no memory", retry_at=NOW + 5)
    view = running_view([sight(EngineRecord(SMALL)), sight(failed)], [], [], NOW)
    (shown,) = view["engines"]
    assert shown == {
        "model": LARGE.model,
        "variant": LARGE.label,
        "context": 8192,
        "state": "backoff",
        "pid": None,
        "url": None,
        "memory": {},
        "active": 0,
        "parallel": 1,
        "state_carry": "off",
        "reason": "no memory",
        "retry_in_seconds": 5.0,
    }


def test_an_idle_engine_tells_when_it_ends() -> None:
    idle = EngineRecord(
        SMALL, State.READY, idle_since=900.0, started_at=100.0, ready_at=102.5, load_seconds=2.5
    )
    idle.memory = {"gpu0": 5}
    (shown,) = running_view([sight(idle)], [], [], NOW)["engines"]
    assert (shown["pid"], shown["url"], shown["memory"]) == (77, "http://127.0.0.1:1", {"gpu0": 5})
    assert (shown["started_seconds_ago"], shown["ready_seconds_ago"]) == (900.0, 897.5)
    assert (shown["load_seconds"], shown["idle_seconds"]) == (2.5, 100.0)
    assert shown["unload_in_seconds"] == 200.0
    (never,) = running_view([sight(idle, inf)], [], [], NOW)["engines"]
    assert never["unload_in_seconds"] is None
    idle.idle_since = 0.0
    assert running_view([sight(idle)], [], [], NOW)["engines"][0]["unload_in_seconds"] == 0.0


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING, State.STOPPING])
def test_an_engine_that_is_busy_or_no_longer_ready_has_no_end_to_tell(state: State) -> None:
    (shown,) = running_view([sight(EngineRecord(SMALL, state))], [], [], NOW)["engines"]
    assert "idle_seconds" not in shown
    assert ("load_seconds" in shown) == (state is State.DRAINING)


@pytest.mark.parametrize(
    ("state", "wanted", "why", "phase"),
    [
        (State.STARTING, SMALL, "load", "loading"),
        (State.READY, SMALL, "slot", "queued"),
        (State.READY, LARGE, "room", "queued"),
        (State.STOPPING, SMALL, "room", "queued"),
        (State.READY, OTHER, "room", "queued"),
    ],
)
def test_a_waiting_request_shows_what_it_waits_for(
    state: State, wanted: Any, why: str, phase: str
) -> None:
    waiting = Waiting(5, wanted, 997.0, priority=Priority.HIGH)
    view = running_view([sight(EngineRecord(SMALL, state))], [waiting], [ongoing(5)], NOW)
    assert view["queue"] == [
        {
            "position": 1,
            "id": "id5",
            "model": wanted.model,
            "context": wanted.context,
            "priority": "high",
            "waited_seconds": 3.0,
            "waits_for": why,
        }
    ]
    assert view["requests"][0]["state"] == phase
    assert view["requests"][0]["tokens"] == 0


def test_the_phases_of_a_request() -> None:
    engine = EngineRecord(SMALL, State.READY, active={6, 7})
    requests = [
        ongoing(),
        ongoing(6, model=SMALL.model),
        ongoing(7, events=12, first=1.0, variant=SMALL.label, prompt=37, client="ann"),
    ]
    (look,) = running_view([], [], [ongoing(variant=SMALL.label)], NOW)["requests"]
    assert look["state"] == "streaming"
    reading, prefill, streaming = running_view([sight(engine)], [], requests, NOW)["requests"]
    assert (reading["state"], reading["variant"]) == ("reading", None)
    assert (prefill["state"], prefill["variant"]) == ("prefill", SMALL.label)
    assert streaming == {
        "id": "id7",
        "path": "/v1/chat/completions",
        "client": "ann",
        "model": None,
        "variant": SMALL.label,
        "state": "streaming",
        "age_seconds": 10.0,
        "prompt_tokens": 37,
        "tokens": 11,
    }


def test_a_waiting_load_without_a_request_has_no_id() -> None:
    view = running_view([], [Waiting(5, SMALL, 997.0)], [ongoing()], NOW)
    assert view["queue"][0]["id"] is None
    assert view["queue"][0]["waits_for"] == "room"
