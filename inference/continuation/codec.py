"""The base of the codecs: the parts of requests and answers that differ between APIs. Pure.

A codec reads and writes; it decides nothing. Other files decide what happens to an answer whose
context is full, in the same way for all APIs. An answer that does not follow its API may raise any
of ``STRANGE``; it cannot be continued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import re

    from inference.continuation.counts import Counts

Json = dict[str, Any]
STRANGE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class Step(NamedTuple):
    """What one event of a stream has: ``words``, ``more`` than words, or the end."""

    words: str = ""
    more: bool = False
    over: bool = False


class Codec(Protocol):
    """How one API writes requests and answers."""

    # -- requests
    # The field with sequences that end an answer.
    stops: str

    def exact(self, request: Json) -> bool:
        """Return whether the text of an answer is all that is needed to continue it exactly."""

    def put(self, request: Json, text: str) -> bool:
        """Change the request to ask for what follows ``text``; return False if it cannot."""

    def trial(self, request: Json, text: str) -> Json | None:
        """Return the chat whose rendering shows whether a template can take a begun answer.

        ``request`` already asks for what follows ``text``. Return None if the API uses no template.
        """

    # -- answers
    # Whether an engine may repeat the begun text, or answer it instead.
    repeats: bool
    # Whether an engine may continue with something else than text at once.
    wordless: bool

    def full(self, answer: Json) -> bool:
        """Return whether an answer, or an event at its end, may mean a full context."""

    def counts(self, answer: Json) -> Counts | None:
        """Return the counts of an answer or event; None if it has none."""

    # -- in one piece
    def words(self, answer: Json) -> str | None:
        """Return the text of an answer; None if there is more than text."""

    def begun(self, answer: Json) -> str | None:
        """Return the text that an answer begins with; None if it is no answer."""

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """Make ``answer`` the whole: its text ``text``, the id of ``first``, all counts."""

    # -- in a stream
    # Where what may be the end of an answer begins, and a part of it that is found faster.
    end: re.Pattern[bytes]
    mark: bytes
    # What marks events that a later engine writes otherwise than the first would.
    special: re.Pattern[bytes]

    def step(self, event: Json) -> Step | None:
        """Return what the event says; None if it is no part of an answer, such as an error."""

    def late(self, end: list[Json], text: str) -> bool:
        """Return whether the ``end`` of an answer holds other text than ``text``."""

    def ids(self, event: Json) -> dict[str, str]:
        """Return the ids in the event, by what they name."""

    def joint(self, event: Json, added: str) -> Json | None:
        """Return the event with ``added`` as its text; None if nothing is left of it.

        An API that cannot go on without text only calls it with an event that has some.
        """

    def later(self, event: Json, before: Counts, said: str) -> Json | None:
        """Return a later engine's event as the first would have written it; None: not at all.

        ``said`` is the text before that engine's own, ``before`` the counts so far.
        """


# -- what codecs share ---------------------------------------------------------------------------

# With these, the text so far is not all that is needed to continue it, or more than text is wanted.
_INEXACT = (
    "logprobs",
    "top_logprobs",
    "n_probs",
    "json_schema",
    "grammar",
    "echo",
    "suffix",
    "best_of",
    "t_max_predict_ms",
    "n_indent",
    "return_tokens",
    "continue_final_message",
)


def plain(request: Json) -> bool:
    """Return whether the request asks for one answer of text, and nothing else."""
    if any(request.get(name) for name in _INEXACT) or request.get("n") not in (None, 1):
        return False
    choice = request.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind in (None, "auto", "none")


def is_text(form: object) -> bool:
    """Return whether a ``response_format`` (or its like) asks for text."""
    return not isinstance(form, dict) or form.get("type") in (None, "text")


def replaced(last: Json, field: str, text: str, known: tuple[str, ...]) -> bool:
    """Replace the client's begun answer by ``text``; return False if that does not begin so.

    The message must have no fields beside ``known``.
    """
    begun = last.get(field)
    if not isinstance(begun, str) or not text.startswith(begun) or last.keys() - {field, *known}:
        return False
    last[field] = text
    return True
