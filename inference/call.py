"""A call to a model: its life as a table, the request, and the sink for the answer. No HTTP.

A call waits for an engine, is opened there, and its answer is passed on as it comes. If the answer
fills its context, a larger variant is asked for a continuation. Until the continuation has joined
the answer, the client gets nothing of it, and no error of it. A move that the table lacks is a bug
in the gateway: see ``IllegalMove``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.scheduling.queue import Priority
from inference.usage import Tally, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inference.caller import Caller
    from models.capabilities import Capabilities
    from models.requests.amount import Amount
    from models.requests.reader import RequestFacts
    from models.selection import Selection
    from models.spec import ModelSpec


class State(StrEnum):
    """The state of a call. As a text, it has a hash that costs no call of Python code."""

    WAITING = "waiting"
    OPENING = "opening"
    ANSWERING = "answering"
    CONTINUING = "continuing"
    ENDED = "ended"


class Move(StrEnum):
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


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """The progress of a call; times are in seconds, None if it did not get so far.

    - ``path``: the path of the request. ``client``: the client.
    - ``prompt``: its tokens, as the engine counted them if ``counted``, else estimated; if
      ``bound``, it has at most so many.
    - ``amount``: the size of a request that is not counted in tokens.
    - ``first``: the time until the engine began to answer. ``tally``: what was relayed of the
      answer.
    - ``cancelled``: by an operator.
    - ``detached``: its client has left, and its answer goes on.
    - ``caller``: who asks, where requests need a key. ``left``: the client left before the end.
      ``answered``: the answer has come to its end; ``refused``: that was an error of the engine.
      ``parts``: how many calls were admitted for the request.
    - ``ticket``: the scheduler's number of the request, once it asked for an engine.
    - ``reasons``: why it waited, and which engines made way for it, as plain JSON values.
    - ``usage``: the tokens of the answer, or of what there was of it.
    """

    started: float
    id: str = "-"
    path: str = ""
    client: str = ""
    model: str | None = None
    variant: str | None = None
    prompt: int | None = None
    counted: bool = False
    bound: bool = False
    amount: Amount | None = None
    completion: int | None = None
    queued: float | None = None
    loading: float | None = None
    first: float | None = None
    cancelled: bool = False
    detached: bool = False
    caller: Caller | None = None
    left: bool = False
    answered: bool = False
    refused: bool = False
    parts: int = 0
    ticket: int | None = None
    reasons: tuple[dict[str, Any], ...] = ()
    usage: Usage | None = None
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to a model.

    ``facts`` are what was read of it, with the body for the engine; ``model`` is the one to answer,
    and ``able`` what it can do. ``path``, ``method`` and ``headers`` are the engine's, complete.
    ``priority`` is its place in the queue. ``admitted`` is what the hooks know of the call, and
    nobody else looks at. A ``conversation`` names an answer that goes on, and
    can be read again, when its client has left: for ``patience`` seconds while nobody reads it, or
    else to its end. What becomes of the call is written into ``record``, which names the client.
    """

    facts: RequestFacts
    model: ModelSpec
    able: Capabilities
    record: CallRecord
    path: str
    headers: Mapping[str, str]
    method: str = "POST"
    priority: Priority = Priority.NORMAL
    conversation: str | None = None
    patience: float | None = None
    admitted: object = None


class AnswerCut(Exception):
    """The sink takes no more of the answer; what it has was right, and its owner ends it."""


class Outlet(NamedTuple):
    """Where the pieces of an answer that has begun are put as they arrive, without waiting.

    ``put`` passes on the next piece, and returns whether the client has room for another; it never
    raises. If the client has no room, or has left, ``drained`` comes next: it returns when the
    client has room, and raises ConnectionError if it has left.
    """

    put: Callable[[bytes], bool]
    drained: Callable[[], Awaitable[None]]


class Sink(Protocol):
    """Where an answer goes.

    Status and headers are the engine's, unchanged; the sink decides which of them the client gets.
    ``decided`` are the gateway's own headers of the answer. ``progress`` shows waiting clients what
    they wait for. If the client has left, a method raises ConnectionError, or cancels the call.
    """

    decided: dict[str, str]
    progress: Callable[[], str] | None

    @property
    def begun(self) -> bool:
        """Return whether the client has a part of the answer; an error can then only follow it."""
        ...

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces. If it has begun, send the headers that were decided since."""

    async def write(self, chunk: bytes) -> None:
        """Pass on the next piece."""

    def outlet(self) -> Outlet | None:
        """Return where all further pieces can be put; None if each must be written."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Pass on an answer in one piece."""

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Pass on an engine's error answer in the client's format, which ends the answer.

        Return False if it can be passed on like any answer.
        """
        ...

    async def end(self) -> None:
        """End the answer."""


class Hooks:
    """What is done around each call; these hooks do nothing.

    In this order: ``admit``, ``wrapped``, ``settle``, ``finish``.
    """

    async def admit(self, call: Call, selection: Selection) -> None:
        """Let the call ask for an engine, or raise a GatewayError that refuses it."""

    def wrapped(self, call: Call, sink: Sink) -> Sink:
        """Return where the answer of an admitted call goes: ``sink``, or one in front of it."""
        del call
        return sink

    def settle(self, call: Call, usage: Usage) -> None:
        """Settle the account of an admitted call; called exactly once, however the call ended.

        ``usage`` is the engine's count if the answer is complete. For an incomplete answer it is
        the count so far: the prompt, once the engine has begun to answer, and a token for each
        relayed event. This is not a coroutine, so that no cancellation can lose it.
        """

    async def finish(self, call: Call, sink: Sink) -> None:
        """Pass on the rest of an answer that has come to its end and was settled.

        ``sink`` is what ``wrapped`` has returned.
        """
