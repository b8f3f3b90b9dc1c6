"""inference/call.py: every pair of a state and a move."""

from __future__ import annotations

from itertools import product

import pytest

from inference.call import TRANSITIONS, Move, State

WAIT, OPEN, ANSWER, CONTINUE, END = State
# What follows each move in the states waiting, opening, answering, continuing and ended.
TABLE: dict[Move, tuple[State | None, ...]] = {
    Move.GRANTED: (OPEN, None, None, CONTINUE, None),
    Move.FELL_BACK: (OPEN, None, None, CONTINUE, None),
    Move.RETRY: (None, WAIT, None, CONTINUE, None),
    Move.TOO_LONG: (None, WAIT, None, CONTINUE, None),
    Move.ANSWERED: (None, ANSWER, None, CONTINUE, None),
    Move.FULL: (None, None, CONTINUE, None, None),
    Move.JOINED: (None, None, None, ANSWER, None),
    Move.KEPT: (None, None, None, ANSWER, None),
    Move.END: (END, END, END, END, None),
}


@pytest.mark.parametrize(("state", "move"), [*product(State, Move)])
def test_each_pair(state: State, move: Move) -> None:
    following = TABLE[move][list(State).index(state)]
    assert TRANSITIONS[state].get(move) is following


def test_every_state_is_reached_and_every_other_can_end() -> None:
    reached = {following for row in TRANSITIONS.values() for following in row.values()}
    assert reached == set(State)
    assert all(Move.END in TRANSITIONS[state] for state in State if state is not State.ENDED)
