"""How far a download is, how fast it is, and how long it will take. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# What a download may be doing.
WAITING, FETCHING, PAUSED = "waiting", "downloading", "paused"
DONE, FAILED = "done", "failed"
ENDED = frozenset({DONE, FAILED, PAUSED})
# Seconds over which the rate is measured.
_WINDOW = 10.0
_LEAST = 0.5


@dataclass(slots=True)
class Progress:
    """Bytes of all files of a model; ``there`` of them were not fetched in this run.

    ``verifying`` while bytes that are there already are read again.
    """

    total: int = 0
    done: int = 0
    file: str = ""
    verifying: bool = False
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def fetched(self, now: float, done: int) -> None:
        """Note that ``done`` bytes are there at the time ``now``, in seconds of any clock."""
        self.done, self.verifying = done, False
        marks = self._marks
        # A clock that was set back, or a file that starts over: measure anew.
        if marks and (now < marks[-1][0] or done < marks[-1][1]):
            marks.clear()
        marks.append((now, done))
        while marks[-1][0] - marks[0][0] > _WINDOW:
            marks.popleft()

    def waited(self, now: float) -> None:
        """Note the time: while nothing comes, the rate falls."""
        if self._marks:
            self.fetched(now, self.done)

    def there(self, done: int) -> None:
        """Note bytes that were not fetched now; they do not count for the rate."""
        self.done = done
        self._marks.clear()

    @property
    def rate(self) -> float:
        """Bytes per second of the last seconds; 0 while that is not known."""
        if not self._marks:
            return 0.0
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return (last - first) / (ended - began) if ended - began >= _LEAST else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until all is there; None while that is not known."""
        return (self.total - self.done) / self.rate if self.rate else None

    @property
    def percent(self) -> int:
        """The part that is there; 100 only at the end."""
        return 100 * self.done // self.total if self.total else 0
