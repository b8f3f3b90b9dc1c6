"""events.py: events and effects are plain, frozen and told apart by their types."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import get_args

import pytest
from builders import variant

from engine.scheduling import events as ev

EVENTS = get_args(ev.Event)
EFFECTS = get_args(ev.Effect)
DEFINED = [one for one in vars(ev).values() if isinstance(one, type) and is_dataclass(one)]


def test_each_is_either_an_event_or_an_effect() -> None:
    assert len(DEFINED) == len(EVENTS) + len(EFFECTS)
    assert set(DEFINED) == {*EVENTS, *EFFECTS}
    assert not {*EVENTS} & {*EFFECTS}


@pytest.mark.parametrize("kind", EVENTS)
def test_time_comes_inside_each_event(kind: type) -> None:
    assert [f.name for f in fields(kind)][-1] == "now"


@pytest.mark.parametrize("kind", EFFECTS)
def test_no_effect_tells_the_time_at_which_it_was_decided(kind: type) -> None:
    assert "now" not in [f.name for f in fields(kind)]


def test_nothing_is_changed_after_it_was_made() -> None:
    event = ev.Returned(1, variant(), 0.0)
    with pytest.raises(FrozenInstanceError):
        event.request = 2  # type: ignore[misc] # mypy refuses it, too
    # Two kinds are not frozen, for speed; a wrong name is still an error.
    for each in (event, ev.Arrived(1, variant(), 0.0), ev.Left(1, 0.0)):
        assert not hasattr(each, "__dict__")


def test_equal_ones_are_equal_and_kinds_are_not_mixed_up() -> None:
    assert ev.Grant(1, 2) == ev.Grant(1, 2)
    assert ev.Grant(1, 2) != ev.Grant(2, 1)
    ways_to_end: list[ev.Event] = [ev.Drain(1.0), ev.Halt(1.0)]
    assert ways_to_end[0] != ways_to_end[1]
