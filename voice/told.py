"""What a session tells its client; each protocol writes it in its own words. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.errors import GatewayError
    from voice.history import ToolCall


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of an answer, and what its caller pays for it; None where that is not known.

    ``limits`` tell what is left of the caller's limits, in the words of HTTP.
    ``cached`` are those of the prompt that the engine had read before.
    """

    prompt: int = 0
    completion: int = 0
    cost: float | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody has begun to speak; ``turn`` will be the number of the turn if it is one."""

    turn: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The speech is over; ``turn`` is the turn that it was, 0 for a noise."""

    turn: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of the speech so far, which will be ``turn``; a later one may say it otherwise."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Understood:
    """The text of a turn; "" if nothing was understood."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class NotCalled:
    """The turn had no wake word, or nothing beside it if ``called``."""

    turn: int
    called: bool


@dataclass(frozen=True, slots=True)
class Began:
    """The model is asked for the answer of a turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of an answer's text."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Speech:
    """Speech of an answer that says ``text``, in the client's format."""

    turn: int
    sound: bytes
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds from the end of the turn until each was there; None for what never was.

    ``heard`` is the silence before it, by which its end was found.
    """

    understood: int | None = None
    first_text: int | None = None
    first_clause: int | None = None
    first_audio: int | None = None
    total: int | None = None
    heard: int | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """The answer of a turn is complete, or was ``interrupted``; ``text`` is what counts as said."""

    turn: int
    asked: str
    text: str
    interrupted: bool = False
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The answer of a turn ends here; of its text, ``heard`` was heard. Play nothing more of it."""

    turn: int
    heard: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed; ``turn`` is the turn that ends by it, 0 for none."""

    turn: int
    error: GatewayError


@dataclass(frozen=True, slots=True)
class Reply:
    """A message in the words of the protocol itself, which no turn has brought about."""

    message: dict[str, Any]
    turn: int = 0


Told = (
    SpeechStarted
    | SpeechStopped
    | Partial
    | Understood
    | NotCalled
    | Began
    | Text
    | Speech
    | Complete
    | Interrupted
    | Problem
    | Reply
)
