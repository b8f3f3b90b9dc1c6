"""Cut an answer into clauses while it is written, so that its beginning is spoken early. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A clause has at least so many characters, or it would be spoken without melody.
_LEAST = 10
# A sentence without an end is cut at a blank. The first is cut early: its listener waits for it.
_LONGEST, _FIRST_LONGEST = 300, 32
# Only a mark with a blank behind it ends anything: "3.5" goes on, perhaps in the next piece.
_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*|\n)\s+|[。！？]+[」』”]*\s*|\n")  # noqa: RUF001 - marks of several languages
_FIRST_END = re.compile(rf"{_END.pattern}|[,;:–—]\s+|[，；：、]")  # noqa: RUF001 - the same
_SHORT_FORM = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|No|Nr|bzw|ca|etc|e\.g|i\.e|z\.B|d\.h)\.\s+$"
)
# Marks that a reader sees and a voice must not say.
_MARKUP = re.compile(r"[*_#`~|]+|^\s*[-•]\s+", re.MULTILINE)


class Clauses:
    """Takes a text in pieces and gives it back in clauses; together they are the same text.

    The first clause ends at a comma or the like, or after a few words; later ones end with their
    sentence.
    """

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, piece: str) -> Iterator[str]:
        """Yield the clauses that ``piece`` completes."""
        self._text += piece
        while (at := self._end()) is not None:
            clause, self._text = self._text[:at], self._text[at:]
            self._first = False
            yield clause

    def rest(self) -> str:
        """Return what is left when the text has ended."""
        rest, self._text = self._text, ""
        return rest

    def _end(self) -> int | None:
        mark = self._mark()
        if (
            self._first
            and len(self._text) > _FIRST_LONGEST
            and not (mark and mark <= _FIRST_LONGEST)
        ):
            blank = self._text.rfind(" ", _LEAST, _FIRST_LONGEST)
            if blank > 0 and speakable(self._text[:blank]):
                return blank + 1
        if mark is not None or len(self._text) <= _LONGEST:
            return mark
        blank = self._text.rfind(" ", _LEAST, _LONGEST)
        return blank + 1 if blank > 0 else _LONGEST

    def _mark(self) -> int | None:
        """Return where a mark ends a clause."""
        for mark in (_FIRST_END if self._first else _END).finditer(self._text):
            clause = self._text[: mark.end()]
            long = len(clause.strip()) >= _LEAST or clause.rstrip().endswith(("。", "！", "？"))  # noqa: RUF001 - marks of several languages
            if long and speakable(clause) and not _SHORT_FORM.search(clause):
                return mark.end()
        return None


def speakable(clause: str) -> str:
    """Return what a voice says of a clause: no marks of Markdown; "" if there is no word in it."""
    plain = _MARKUP.sub(" ", clause)
    return " ".join(plain.split()) if any(letter.isalnum() for letter in plain) else ""
