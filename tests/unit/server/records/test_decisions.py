"""server/records/decisions.py: the last reasons, for the page about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from builders import variant

from engine.observer import Changed
from engine.scheduling.lifecycle import State
from engine.scheduling.reasons import Why
from server.records.decisions import ROOM, Decisions
from utils.errors import (
    BadRequest,
    ContextLengthExceeded,
    EngineBroke,
    EngineOutOfMemory,
    EngineStartFailed,
    GatewayError,
    KeyRefused,
    ModelNotFound,
    NotCapable,
    QueueFull,
    RateLimited,
    RequestCancelled,
    ShuttingDown,
    UnknownPath,
)

ASKED: Any = SimpleNamespace(id="r7", model="big")
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


@pytest.mark.parametrize(
    ("error", "because", "kind"),
    [
        (ModelNotFound("No 'x'."), "model", "refused"),
        (ContextLengthExceeded("m", 9000, 512), "length", "refused"),
        (NotCapable("No images."), "ability", "refused"),
        (RateLimited("25 a minute.", 2.0, {}), "limit", "refused"),
        (KeyRefused(), "rights", "refused"),
        (EngineOutOfMemory("Too large."), "memory", "refused"),
        (EngineBroke("It ended."), "engine", "failed"),
        (BadRequest("No messages."), "request", "refused"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, GatewayError) else "",
)
def test_a_request_without_an_answer_has_a_reason(
    error: GatewayError, because: str, kind: str
) -> None:
    entry = Decisions().failed(ASKED, error, 1.0)
    assert entry is not None
    assert (entry["because"], entry["kind"]) == (because, kind)
    assert (entry["text"], entry["requests"]) == (error.message, ["r7"])


def test_what_the_scheduler_refused_is_told_once() -> None:
    decisions = Decisions()
    full = QueueFull("64 wait.", 1.0)
    assert decisions.refused(7, full, IN_FLIGHT, 1.0) is not None
    assert decisions.failed(ASKED, full, 1.1) is None
    assert len(decisions.newest()) == 1


@pytest.mark.parametrize("error", [RequestCancelled("An operator."), UnknownPath("Nothing.")])
def test_what_was_no_refusal_has_no_reason(error: GatewayError) -> None:
    assert Decisions().failed(ASKED, error, 1.0) is None


def test_requests_that_are_counted_together_are_named() -> None:
    decisions = Decisions()
    for number in range(30):
        asked: Any = SimpleNamespace(id=f"r{number}", model="m")
        decisions.failed(asked, RateLimited("25 a minute.", 2.0, {}), float(number))
    [entry] = decisions.newest()
    assert (entry["times"], entry["request"]) == (30, "r29")
    assert entry["requests"] == [f"r{number}" for number in range(10, 30)]
