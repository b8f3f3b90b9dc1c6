"""The codecs' base: what of a request and its answer each API writes in its own way. Pure.

A codec reads and writes; it decides nothing. What becomes of an answer whose context is full is
decided elsewhere, for all of them alike. What is not written as its API says may raise any of
``STRANGE``; such an answer cannot grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import re

    from inference.continuation.counts import Counts

Json = dict[str, Any]
STRANGE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class Step(NamedTuple):
    """What one event of a stream says: ``words``, something ``more`` than words, or the end."""

    words: str = ""
    more: bool = False
    over: bool = False


class Codec(Protocol):
    """How one API writes requests and answers."""

    # -- requests
    # The field with sequences that end an answer.
    stops: str

    def exact(self, request: Json) -> bool:
        """Whether the words of its answer tell all that led to them."""

    def put(self, request: Json, text: str) -> bool:
        """The request asks for what follows ``text``; False where it cannot."""

    def trial(self, request: Json, text: str) -> Json | None:
        """The chat whose rendering shows whether a template takes a begun answer.

        ``request`` already asks for what follows ``text``. None where no template comes between
        the words and the model.
        """

    # -- answers
    # Whether an engine may repeat what it continues, or answer it.
    repeats: bool
    # Whether it may go on with something else than words at once.
    wordless: bool
    # Whether an answer tells why it ended.
    tells_why: bool

    def full(self, answer: Json) -> bool:
        """Whether an answer, or an event of its end, may tell of a full context."""

    def counts(self, answer: Json) -> Counts | None:
        """What an answer or an event counts; 0 for what it leaves out, None without any."""

    # -- in one piece
    def words(self, answer: Json) -> str | None:
        """The words of an answer; None where it is not words alone."""

    def begun(self, answer: Json) -> str | None:
        """The words an answer begins with, whatever follows; None where it is no answer."""

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """``answer`` says ``text`` and is the end of ``first``, of which ``before`` counts."""

    # -- in a stream
    # Whether events have names.
    named: bool
    # Where what may be the end of an answer begins.
    end: re.Pattern[bytes]
    # What events hold that a later engine says otherwise than the first would.
    special: re.Pattern[bytes]

    def step(self, event: Json) -> Step | None:
        """What the event says; None where it is no part of an answer, such as an error."""

    def late(self, end: list[Json], text: str) -> bool:
        """Whether the ``end`` of an answer of ``text`` says more words than went before it."""

    def ids(self, event: Json) -> dict[str, str]:
        """The ids that the event makes known, by what they name."""

    def joint(self, event: Json, added: str) -> Json | None:
        """The event, now adding ``added`` to what was said; None where that is nothing.

        Of an API that does not go on without words it is one that said some.
        """

    def later(self, event: Json, before: Counts, said: str) -> Json | None:
        """A later engine's event, as the first would have written it; None: it would not have.

        ``said`` is what was said before that engine's own words, ``before`` what was counted.
        """


# -- what codecs share ---------------------------------------------------------------------------

# With these the words so far do not tell all that led to them, or more than words was asked for.
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
    """Whether nothing but words is asked for, once, and nothing else is demanded."""
    if any(request.get(name) for name in _INEXACT) or request.get("n") not in (None, 1):
        return False
    choice = request.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind in (None, "auto", "none")


def is_text(form: object) -> bool:
    """Whether a ``response_format``, under whichever name, asks for nothing but text."""
    return not isinstance(form, dict) or form.get("type") in (None, "text")


def replaced(last: Json, field: str, text: str, known: tuple[str, ...]) -> bool:
    """A client's own beginning becomes ``text``, which engines begin with it; False where not.

    It must have no fields beside ``known``.
    """
    begun = last.get(field)
    if not isinstance(begun, str) or not text.startswith(begun) or last.keys() - {field, *known}:
        return False
    last[field] = text
    return True


def begun_chat(request: Json, text: str) -> Json:
    """A chat that an engine's template renders like ``request``, as far as its end goes.

    Engines render chats alone for show; others they turn into chats themselves.
    """
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]
    kwargs = request.get("chat_template_kwargs")
    return {"messages": said} | ({"chat_template_kwargs": kwargs} if kwargs else {})
