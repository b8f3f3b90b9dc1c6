"""The life of one call as a table.

A call waits for an engine, is opened there, and its answer is passed on as it comes. If the answer
fills its context, a larger variant is asked for a continuation. Until the continuation has joined
the answer, the client gets nothing of it, and no error of it.

This file knows states and moves, but no engines, clients or waits. A missing cell is a bug in the
gateway: ``after`` raises, and nothing has changed.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """The state of a call."""

    WAITING = "waiting"
    OPENING = "opening"
    ANSWERING = "answering"
    CONTINUING = "continuing"
    ENDED = "ended"


class Move(Enum):
    """What happens to a call.

    - GRANTED: it holds the engine that it asked for. FELL_BACK: a smaller one, because of memory.
    - RETRY: the engine failed before its answer; the call is sent once more.
    - TOO_LONG: the engine refused the prompt as too long; a larger variant is asked for.
    - ANSWERED: an engine has begun to answer.
    - FULL: the answer has filled its context; a larger variant is asked to continue it.
    - JOINED: the continuation is part of the answer. KEPT: it is not, and the answer stays as it
      was.
    - END: the call holds nothing any more, whatever its result.
    """

    GRANTED = "granted"
    FELL_BACK = "fell back"
    RETRY = "retry"
    TOO_LONG = "too long"
    ANSWERED = "answered"
    FULL = "full"
    JOINED = "joined"
    KEPT = "kept"
    END = "end"


TRANSITIONS: dict[State, dict[Move, State]] = {
    State.WAITING: {
        Move.GRANTED: State.OPENING,
        Move.FELL_BACK: State.OPENING,
        Move.END: State.ENDED,
    },
    State.OPENING: {
        Move.RETRY: State.WAITING,
        Move.TOO_LONG: State.WAITING,
        Move.ANSWERED: State.ANSWERING,
        Move.END: State.ENDED,
    },
    State.ANSWERING: {
        Move.FULL: State.CONTINUING,
        Move.END: State.ENDED,
    },
    State.CONTINUING: {
        Move.GRANTED: State.CONTINUING,
        Move.FELL_BACK: State.CONTINUING,
        Move.RETRY: State.CONTINUING,
        Move.TOO_LONG: State.CONTINUING,
        Move.ANSWERED: State.CONTINUING,
        Move.JOINED: State.ANSWERING,
        Move.KEPT: State.ANSWERING,
        Move.END: State.ENDED,
    },
    State.ENDED: {},
}


class IllegalMove(RuntimeError):
    """A call cannot make this move in its state: a bug in the gateway."""

    def __init__(self, call: str, state: State, move: Move) -> None:
        super().__init__(f"the call {call}, {state.value}, cannot make the move '{move.value}'")


def after(call: str, state: State, move: Move) -> State:
    """Return the state after ``move``, or raise IllegalMove, which names ``call``."""
    following = TRANSITIONS[state].get(move)
    if following is None:
        raise IllegalMove(call, state, move)
    return following
