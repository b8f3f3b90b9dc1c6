"""lifecycle.py: every pair of state and event, against the table in the documentation."""

from __future__ import annotations

import copy
from itertools import product

import pytest
from builders import variant
from paths import ROOT
from scheduler_script import Script

from engine.scheduling.lifecycle import (
    TRANSITIONS,
    Event,
    IllegalTransition,
    State,
    advance,
    as_markdown,
)

PAGE = ROOT / "docs" / "engine-states.md"
RESTING = {State.STOPPED, State.BACKOFF, State.FAILED}
PAIRS = list(product(State, Event))


def documented() -> dict[tuple[str, str], str]:
    """(state, event) → the state that follows, or "", as the page's table says."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition("\n| state | START ")
    (_, *events), _rule, *states = (
        [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
        for line in ("| state | START " + below).splitlines()
        if line.startswith("|")
    )
    return {
        (state, event): cell
        for state, *cells in states
        for event, cell in zip(events, cells, strict=True)
    }


TABLE = documented()


def test_the_page_shows_the_table_as_it_is_printed() -> None:
    assert f"\n\n{as_markdown()}\n\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_a_cell_for_every_pair() -> None:
    pairs = {(state.name, event.name) for state, event in PAIRS}
    assert set(TABLE) == pairs


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda one: one.name)
def test_each_pair(state: State, event: Event) -> None:
    follows = TABLE[state.name, event.name]
    before = copy.deepcopy(TRANSITIONS)
    if follows:
        assert advance("qwen@4096", state, event) is State[follows]
    else:
        with pytest.raises(IllegalTransition) as caught:
            advance("qwen@4096", state, event)
        assert str(caught.value) == (
            f"engine qwen@4096: {event.name} cannot happen in state {state.name}"
        )
        assert (caught.value.engine, caught.value.state, caught.value.event) == (
            "qwen@4096",
            state,
            event,
        )
        # Nothing of the look-up that failed: it would only puzzle who reads the log.
        assert caught.value.__suppress_context__
    assert before == TRANSITIONS


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda one: one.name)
def test_an_illegal_move_changes_nothing_of_the_engine(state: State, event: Event) -> None:
    script = Script({"small": variant()})
    record = script.record("small")
    record.state = state
    before = script.snapshot()
    if TABLE[state.name, event.name]:
        script.scheduler._engines.move(record, event)
        assert record.state is State[TABLE[state.name, event.name]]
        return
    with pytest.raises(IllegalTransition):
        script.scheduler._engines.move(record, event)
    assert script.snapshot() == before


def test_a_process_may_exist_in_every_state_but_those_of_rest() -> None:
    assert {state for state in State if not state.live} == RESTING


def test_a_process_begins_by_start_or_retry_and_ends_by_its_exit_alone() -> None:
    for (name, event), follows in TABLE.items():
        state = State[name]
        if follows and State[follows].live is not state.live:
            starts = ("START", "RETRY")
            assert event in (("EXITED",) if state.live else starts), (name, event)


def test_an_exit_and_a_wish_to_stop_have_an_answer_in_every_live_state() -> None:
    for state in State:
        assert Event.STOP in TRANSITIONS[state]
        assert (Event.EXITED in TRANSITIONS[state]) is state.live


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_a_stop_and_an_exit_lead_every_engine_to_rest(state: State) -> None:
    state = advance("e", state, Event.STOP)
    if state.live:
        state = advance("e", state, Event.EXITED)
    assert state is State.STOPPED


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_no_state_is_a_dead_end(state: State) -> None:
    reached, new = {state}, {state}
    while new:
        new = {follows for one in new for follows in TRANSITIONS[one].values()} - reached
        reached |= new
    assert State.READY in reached
