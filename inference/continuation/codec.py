"""What of an answer, and of its request, each API writes in its own way. Pure.

A tongue reads and writes; it decides nothing. What becomes of an answer whose context is full is
decided elsewhere, for all of them alike. What is not written as its API says may raise any of
``STRANGE``; to whoever asked, that is an answer that cannot grow.
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
    # Fields that limit the answer, and the limit where they say nothing.
    limits: tuple[str, ...]
    usual_limit: int | None
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
