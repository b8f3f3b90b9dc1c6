"""``AgreedText``: what of the texts of speech that goes on will hardly change any more. Pure.

A client appends each delta to those before, so none can be taken back. Two texts in a row agree
about the words at their beginning; those are told.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\S+\s*")


class AgreedText:
    """The deltas of one turn at a time."""

    def __init__(self) -> None:
        self._turn = 0
        self._before: list[str] = []
        self._told = ""

    def more(self, turn: int, text: str) -> str:
        """Return what is new of the speech so far; "" if nothing is sure."""
        if turn != self._turn:
            self._turn, self._before, self._told = turn, [], ""
        words, before = _WORD.findall(text), self._before
        self._before = words
        # The last word may be a part of one, and has no blank behind it.
        count = 0
        while count < min(len(words), len(before)) - 1 and words[count] == before[count]:
            count += 1
        return self._new("".join(words[:count]))

    def rest(self, turn: int, text: str) -> str:
        """Return what is left of the whole text; "" if it differs from what was told."""
        delta = self._new(text) if turn == self._turn else text
        self._turn = 0
        return delta

    def _new(self, text: str) -> str:
        if not text.startswith(self._told):
            return ""
        new, self._told = text[len(self._told) :], text
        return new
