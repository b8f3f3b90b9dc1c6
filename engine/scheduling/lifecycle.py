"""The engine's life as a table.

This file knows states and events, nothing of processes, clocks or requests.
An engine rests in STOPPED, BACKOFF or FAILED (no process), and lives in the
others (a process that may hold memory). A cell that is missing is a fault in
the gateway: ``advance`` raises and nothing has changed.
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
    """An event came to an engine in a state that has no answer to it."""

    def __init__(self, engine: str, state: State, event: Event) -> None:
        super().__init__(f"engine {engine}: {event.name} cannot happen in state {state.name}")
        self.engine = engine
        self.state = state
        self.event = event


def advance(engine: str, state: State, event: Event) -> State:
    """The state that follows ``event``; IllegalTransition names the engine where none does."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(engine, state, event) from None


def as_markdown() -> str:
    """The table as the documentation shows it, a row a state and a column an event."""
    head = "| state | " + " | ".join(event.name for event in Event) + " |"
    rule = "|---" * (len(Event) + 1) + "|"
    rows = [
        f"| {state.name} | "
        + " | ".join(cells[event].name if event in cells else "" for event in Event)
        + " |"
        for state, cells in TRANSITIONS.items()
    ]
    return "\n".join([head, rule, *rows])
