"""What is asked of a model, by whom, and where the answer goes. No HTTP library is known here."""

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
    """What became of a call so far; times in seconds, None where it did not get so far.

    - ``path``: under which name it was asked. ``client``: who asks.
    - ``prompt``: its tokens, as the engine counted them if ``counted``, else estimated.
    - ``first``: until the engine began to answer. ``tally``: what was relayed of the answer.
    - ``cancelled``: by an operator; its answer is wanted by nobody.
    - ``detached``: its client has left, and its answer goes on.
    - ``ticket``: by which the scheduler knows it, once it asked for an engine.
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

    Status and headers are the engine's, unchanged; what of them crosses is the sink's to say.
    ``decided`` are the gateway's own words on the answer. ``progress`` tells whoever waits what
    for. A client that has left raises ConnectionError, or cancels the call.
    """

    decided: dict[str, str]
    progress: Callable[[], str] | None

    @property
    def begun(self) -> bool:
        """Whether the client has something already, and a failure can only follow it."""
        ...

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces; in one that has begun, tell what was decided since."""

    async def write(self, chunk: bytes) -> None:
        """Pass on the next piece."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Pass on an answer that is whole."""

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Pass on an engine's error page as the client understands it, which ends the answer.

        False where it can be passed on like any answer.
        """
        ...

    async def end(self) -> None:
        """End the answer."""


class Hooks:
    """What is done around each call; these do nothing."""

    async def admit(self, call: Call, selection: Selection) -> None:
        """Let the call ask for an engine, or raise a GatewayError that refuses it."""

    def settle(self, call: Call, usage: Usage) -> None:
        """Take account of a call that was admitted; done exactly once, however it ended.

        ``usage`` is the engine's count where the answer came to its end. Of one that did not, it is
        what was counted so far: the prompt once the engine had begun to answer, and a token for
        each event that was relayed. Not a coroutine, so that no cancellation can lose it.
        """
