"""The life of an engine as a table.

This file knows states and events, but no processes, clocks or requests. In STOPPED, BACKOFF and
FAILED an engine has no process; in the other states it may have one that holds memory. A missing
cell is a bug in the gateway: ``advance`` raises, and nothing has changed.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What an engine is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    ABORTING = "aborting"
    BACKOFF = "backoff"
    FAILED = "failed"

    @property
    def live(self) -> bool:
        """Whether a process may exist in this state."""
        return self not in (State.STOPPED, State.BACKOFF, State.FAILED)


class Event(Enum):
    """What happens to an engine."""

    START = "start"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    EXITED = "exited"
    DRAIN = "drain"
    DRAINED = "drained"
    RETRY = "retry"
    GIVE_UP = "give_up"
    STOP = "stop"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.STOPPED: {
        Event.START: State.STARTING,
        Event.STOP: State.STOPPED,
    },
    State.STARTING: {
        Event.HEALTHY: State.READY,
        Event.UNHEALTHY: State.ABORTING,
        Event.EXITED: State.BACKOFF,
        Event.STOP: State.STOPPING,
    },
    State.READY: {
        Event.UNHEALTHY: State.ABORTING,
        Event.EXITED: State.BACKOFF,
        Event.DRAIN: State.DRAINING,
        Event.STOP: State.STOPPING,
    },
    State.DRAINING: {
        Event.UNHEALTHY: State.STOPPING,
        Event.EXITED: State.STOPPED,
        Event.DRAINED: State.STOPPING,
        Event.STOP: State.STOPPING,
    },
    State.STOPPING: {
        Event.EXITED: State.STOPPED,
        Event.STOP: State.STOPPING,
    },
    State.ABORTING: {
        Event.EXITED: State.BACKOFF,
        Event.STOP: State.STOPPING,
    },
    State.BACKOFF: {
        Event.RETRY: State.STARTING,
        Event.GIVE_UP: State.FAILED,
        Event.STOP: State.STOPPED,
    },
    State.FAILED: {
        Event.START: State.STARTING,
        Event.STOP: State.STOPPED,
    },
}


class IllegalTransition(RuntimeError):
    """An event came in a state that has no cell for it."""

    def __init__(self, engine: str, state: State, event: Event) -> None:
        super().__init__(f"engine {engine}: {event.name} cannot happen in state {state.name}")
        self.engine = engine
        self.state = state
        self.event = event


def advance(engine: str, state: State, event: Event) -> State:
    """Return the state after ``event``, or raise IllegalTransition, which names the engine."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(engine, state, event) from None


def as_markdown() -> str:
    """Return the table for the documentation: a row for each state, a column for each event."""
    head = "| state | " + " | ".join(event.name for event in Event) + " |"
    rule = "|---" * (len(Event) + 1) + "|"
    rows = [
        f"| {state.name} | "
        + " | ".join(cells[event].name if event in cells else "" for event in Event)
        + " |"
        for state, cells in TRANSITIONS.items()
    ]
    return "\n".join([head, rule, *rows])
