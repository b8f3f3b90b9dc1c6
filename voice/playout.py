"""Reckon what a listener has heard of the speech that was sent, and how far it is ahead. Pure.

The listener plays each piece when it comes, after those before it. Times are in seconds.
"""

from __future__ import annotations

from typing import NamedTuple


class _Piece(NamedTuple):
    text: str
    start: float
    end: float


class Playout:
    """The speech of one answer; at most ``lead`` seconds of it wait at the listener."""

    def __init__(self, lead: float) -> None:
        self._lead = lead
        self._pieces: list[_Piece] = []

    @property
    def end(self) -> float:
        """When the last piece will have been played; 0 if nothing was sent."""
        return self._pieces[-1].end if self._pieces else 0.0

    @property
    def text(self) -> str:
        """The text of all that was sent."""
        return "".join(piece.text for piece in self._pieces)

    def send(self, text: str, seconds: float, now: float) -> None:
        """Note that ``seconds`` of speech, which say ``text``, are sent now."""
        start = max(now, self.end)
        self._pieces.append(_Piece(text, start, start + seconds))

    def wait(self, now: float) -> float:
        """Return after how many seconds the next piece may be sent."""
        return max(0.0, self.end - now - self._lead)

    def playing(self, now: float) -> bool:
        """Return whether some of the speech is still to be heard."""
        return now < self.end

    def heard(self, now: float) -> str:
        """Return the text that was heard until now; of a piece that is playing, whole words."""
        said = []
        for text, start, end in self._pieces:
            if end <= now:
                said.append(text)
            elif start < now:
                said.append(whole_words(text, (now - start) / (end - start)))
        return "".join(said)


def whole_words(text: str, share: float) -> str:
    """Return the first words of a text that lie wholly in ``share`` of its characters."""
    at = int(len(text) * share)
    if at >= len(text):
        return text
    cut = text[: at + 1]
    blank = max(cut.rfind(" "), cut.rfind("\n"))
    return text[:blank] if blank > 0 else ""
