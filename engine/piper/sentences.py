"""Cut a text into sentences, so that the first is heard while the next is made. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first piece ends at the first comma or the like of a sentence that is longer than this: a
# voice takes about as long for it as for the whole, in proportion.
_FIRST = 50
# A piece has at least so many letters, or it would be spoken without melody.
_LEAST = 10
# A sentence without an end is cut at a comma or a blank.
_LONGEST = 400
_END = re.compile(
    r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”]*|\n\s*\n|\n(?=\s*[-*•\d])"  # noqa: RUF001 - marks of several languages
)
_CLAUSE = re.compile(r"[,;:–—](?=\s)|[，；：、]")  # noqa: RUF001 - the same
_SHORT_FORM = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|No|Nr|bzw|ca|etc|e\.g|i\.e|z\.B|d\.h)\.$"
)


def sentences(text: str) -> list[str]:
    """Return the pieces of a text in order; those that have nothing to say are left out."""
    pieces = [piece for whole in _cut(text) for piece in _shortened(whole) if speaks(piece)]
    if pieces:
        pieces[:1] = _first(pieces[0])
    return pieces


def speaks(text: str) -> bool:
    """Return whether a voice has anything to say: a letter or a digit."""
    return any(letter.isalnum() for letter in text)


def _cut(text: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        if not _SHORT_FORM.search(text[start : end.end()]):
            yield text[start : end.end()].strip()
            start = end.end()
    yield text[start:].strip()


def _shortened(sentence: str) -> Iterator[str]:
    while len(sentence) > _LONGEST:
        marks = [mark.end() for mark in _CLAUSE.finditer(sentence, _LEAST, _LONGEST)]
        at = marks[-1] if marks else sentence.rfind(" ", _LEAST, _LONGEST)
        at = at if at > 0 else _LONGEST
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    yield sentence


def _first(sentence: str) -> list[str]:
    if len(sentence) <= _FIRST:
        return [sentence]
    for mark in _CLAUSE.finditer(sentence, _LEAST, len(sentence) - _LEAST):
        return [sentence[: mark.end()], sentence[mark.end() :].strip()]
    return [sentence]
