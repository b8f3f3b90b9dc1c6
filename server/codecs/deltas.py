"""What an engine's answer says, piece by piece: typed values between readers and encoders. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from inference.usage import Told

Json = dict[str, Any]


class Begun(NamedTuple):
    """The answer has begun; ``role`` is who speaks."""

    role: str


class Text(NamedTuple):
    """A piece of the answer's text; ``logprobs`` are its tokens' in OpenAI's form, if wanted."""

    text: str
    logprobs: tuple[Json, ...] = ()


class Reasoning(NamedTuple):
    """A piece of the thoughts before the answer."""

    text: str


class Refusal(NamedTuple):
    """A piece of the text in which a model refuses to answer."""

    text: str


class ToolCall(NamedTuple):
    """A piece of a call of a tool: ``id`` and ``name`` stand in its first piece.

    ``number`` tells the calls of one answer apart; ``arguments`` are the next characters of a JSON
    object.
    """

    number: int
    id: str | None
    name: str | None
    arguments: str


class Finished(NamedTuple):
    """The answer has ended: ``stop``, ``length``, ``tool_calls``, ``content_filter`` or other.

    ``stopped_by`` is the sequence that has ended it, "" if there was none or the engine keeps it.
    """

    reason: str
    stopped_by: str = ""


class Counted(NamedTuple):
    """The engine's counts; a later one completes an earlier one. ``reasoning``: thought tokens.

    ``cost`` is the price of the answer, for who pays.
    """

    told: Told
    reasoning: int | None = None
    cost: float | None = None


class Failed(NamedTuple):
    """The engine ended its answer with an error."""

    message: str


Delta = Begun | Text | Reasoning | Refusal | ToolCall | Finished | Counted | Failed
