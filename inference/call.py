"""A call to a model: the request, the client, and the sink for the answer. No HTTP library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.scheduling.queue import Priority
from inference.usage import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.usage import Usage
    from models.capabilities import Capabilities
    from models.requests.reader import RequestFacts
    from models.selection import Selection
    from models.spec import ModelSpec


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """The progress of a call; times are in seconds, None if it did not get so far.

    - ``path``: the path of the request. ``client``: the client.
    - ``prompt``: its tokens, as the engine counted them if ``counted``, else estimated.
    - ``first``: the time until the engine began to answer. ``tally``: what was relayed of the
      answer.
    - ``cancelled``: by an operator.
    - ``detached``: its client has left, and its answer goes on.
    - ``ticket``: the scheduler's number of the request, once it asked for an engine.
    """

    started: float
    id: str = "-"
    path: str = ""
    client: str = ""
    model: str | None = None
    variant: str | None = None
    prompt: int | None = None
    counted: bool = False
    completion: int | None = None
    queued: float | None = None
    loading: float | None = None
    first: float | None = None
    cancelled: bool = False
    detached: bool = False
    ticket: int | None = None
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to a model.

    ``facts`` are what was read of it, with the body for the engine; ``model`` is who shall answer,
    and ``able`` what it can do. ``path``, ``method`` and ``headers`` are the engine's, complete.
    ``priority`` is its place in the queue. A ``conversation`` names an answer that goes on, and
    can be read again, when its client has left. What becomes of the call is written into
    ``record``, which says who asks.
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
    """What is done around each call; these hooks do nothing."""

    async def admit(self, call: Call, selection: Selection) -> None:
        """Let the call ask for an engine, or raise a GatewayError that refuses it."""

    def settle(self, call: Call, usage: Usage) -> None:
        """Settle the account of an admitted call; called exactly once, however the call ended.

        ``usage`` is the engine's count if the answer is complete. For an incomplete answer it is
        the count so far: the prompt, once the engine has begun to answer, and a token for each
        relayed event. This is not a coroutine, so that no cancellation can lose it.
        """
