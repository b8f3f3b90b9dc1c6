"""``Partials``: when the speech so far is made a text, and when that is the turn's. Pure.

A mark is the count of the frames of speech that were heard: if it is the same later, there was
nothing but silence. So a text that is begun in the first silence is mostly the final one, and there
before the turn has ended.
"""

from __future__ import annotations

PAUSE = 0.2
"""Seconds of silence in which the speech so far may turn out to be all."""
# Seconds between two texts of somebody who speaks on, and how many times what the last one took:
# the engine has at least as long for others.
_EVERY = 1.0
_REST = 2.0
# Seconds after which it is tried again where the engine was not free.
_AGAIN = 0.1


class Partials:
    """The texts of one turn's speech so far. At most one is being made. Times are in seconds."""

    def __init__(self) -> None:
        # The mark of the last text, or of the one that is being made.
        self._mark: int | None = None
        self._running = False
        self._began = 0.0
        self._next = 0.0
        self._again = 0.0

    def is_due(self, mark: int, silent: float, now: float) -> bool:
        """Return whether a text should be begun; another that is being made is not wanted any more.

        ``silent`` is the silence since the last speech.
        """
        if mark == self._mark:
            return False
        if silent >= PAUSE:
            return now >= self._again
        return not self._running and now >= self._next

    def begin(self, mark: int, now: float) -> None:
        """Take in that a text is begun of the speech up to ``mark``."""
        self._mark, self._running, self._began = mark, True, now

    def ended(self, now: float, *, known: bool) -> None:
        """Take in that the text is ``known``, or that there is none."""
        self._running = False
        self._next = now + max(_EVERY, _REST * (now - self._began))
        if not known:
            self._mark, self._again = None, now + _AGAIN

    def covers(self, mark: int) -> bool:
        """Return whether the last text, or the one that is being made, has all of the speech."""
        return mark == self._mark

    def reset(self, now: float) -> None:
        """Forget the texts: what is said now is another turn's."""
        self._mark, self._running = None, False
        self._next, self._again = now + _EVERY, now
