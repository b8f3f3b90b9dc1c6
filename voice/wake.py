"""Find a wake word in a transcript, and the request beside it. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

Mode = Literal["pre", "post", "mid"]
MODES: tuple[str, ...] = get_args(Mode)
# In the mode "pre", the word begins within so many characters.
_NEAR = 10
_WORD = re.compile(r"\w+")
# Words are a phrase that was misheard if so much of them is alike.
_ALIKE = 0.6
# What is left beside a wake word is no part of the request.
_MARKS = " \t\n,.;:!?-–—…"  # noqa: RUF001 - marks of transcripts


class WakeWords(NamedTuple):
    """The phrases that call the assistant, any of them, and where the request stands.

    ``pre``: the word is at the beginning, and the request follows. ``post``: the request is what
    stands before the word. ``mid``: the request is all of the text but the word.
    """

    words: tuple[str, ...]
    mode: Mode = "pre"

    def request(self, text: str, *, called: bool = False) -> str | None:
        """Return the request in a transcript, "" if it has only the word; None without the word.

        Case does not count, nor do the marks between the words of a phrase: a transcript has
        "Hey, Jarvis!" for "hey jarvis". If a word was ``called``, as its sound says, what is most
        like it in the text is taken for it: a transcript may have "Hey, Javis".
        """
        found = _places(text, self.words)
        if not found and called:
            if (like := _most_like(text, self.words)) is None:
                return text.strip(_MARKS)
            found = _places(text, [like])
        if not found:
            return None
        if self.mode == "post":
            return text[: found[-1].start()].strip(_MARKS)
        if self.mode == "pre":
            first = found[0]
            near = called or first.start() < _NEAR
            return text[first.end() :].strip(_MARKS) if near else None
        return _without(text, found)


def _places(text: str, phrases: Iterable[str]) -> list[re.Match[str]]:
    """Return where the phrases stand in the text, in order."""
    return sorted(
        (match for phrase in phrases for match in _pattern(phrase).finditer(text)),
        key=lambda match: (match.start(), -match.end()),
    )


def _most_like(text: str, phrases: Iterable[str]) -> str | None:
    """Return the words of the text that are most like one of the phrases; None if none are."""
    words = [match.group() for match in _WORD.finditer(text)]
    best, found = _ALIKE, None
    for phrase in phrases:
        wanted = " ".join(_WORD.findall(phrase)).lower()
        count = wanted.count(" ") + 1
        for at in range(len(words)):
            for end in (at + count, at + count + 1):
                run = " ".join(words[at:end])
                alike = SequenceMatcher(None, run.lower(), wanted).ratio()
                if alike > best:
                    best, found = alike, run
    return found


def _pattern(phrase: str) -> re.Pattern[str]:
    words = r"[\W_]+".join(re.escape(word) for word in _WORD.findall(phrase))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _without(text: str, found: Iterable[re.Match[str]]) -> str:
    kept, at = [], 0
    for match in found:
        if match.start() >= at:
            kept.append(text[at : match.start()].strip(_MARKS))
            at = match.end()
    kept.append(text[at:].strip(_MARKS))
    return " ".join(piece for piece in kept if piece)
