"""Samples of the gateway's load: every 10 seconds for an hour, longer ones for longer. Pure.

A sample is a dict of numbers with ``at``, the seconds since 1970 when it began. Samples of one ring
become one of the next when its time has passed. Time without samples has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from server.records.journal import Journal

Sample = dict[str, Any]


class Ring(NamedTuple):
    """Seconds of a sample, and how many samples are kept."""

    step: int
    room: int


# An hour, a week, 400 days.
RINGS = (Ring(10, 360), Ring(60, 7 * 24 * 60), Ring(3600, 400 * 24))
# Counts of a time are added; of other numbers the mean is taken, or the largest of ``most_``.
COUNTS = frozenset({"requests", "errors", "prompt_tokens", "completion_tokens"})
_MOST = "most_"
_POINTS = 20_000
# So many samples are enough for a picture.
_USUAL = 1500


class Samples:
    """The samples of each ring, in the journals that the caller keeps."""

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._journals = journals
        # For each ring but the first: what belongs to its sample under way.
        self._pending: list[list[Sample]] = [[] for _ in RINGS]

    def resume(self) -> None:
        """Take up the samples under way when the last run ended."""
        for number in range(1, len(RINGS)):
            last = max((each["at"] for each in self._journals[number]), default=0)
            step = RINGS[number].step
            finer = self._journals[number - 1]
            self._pending[number] = [each for each in finer if each["at"] >= last + step]

    def add(self, sample: Sample) -> None:
        """Add a sample of the first ring; ``at`` is a multiple of its step."""
        self._add(0, sample)

    def _add(self, number: int, sample: Sample) -> None:
        self._journals[number].add(sample)
        if number + 1 == len(RINGS):
            return
        pending, step = self._pending[number + 1], RINGS[number + 1].step
        if pending and pending[0]["at"] // step != sample["at"] // step:
            begin = pending[0]["at"] // step * step
            self._pending[number + 1] = [sample]
            own = [each for each in pending if each["at"] // step * step == begin]
            self._add(number + 1, merged(begin, own))
        else:
            pending.append(sample)

    def points(self, begin: float, end: float, step: int) -> list[Sample]:
        """Return the samples of this length that began in this time; BadRequest if too many."""
        number = next(n for n, ring in enumerate(RINGS) if ring.step == step)
        found = [each for each in self._all(number) if begin <= each["at"] < end]
        if len(found) > _POINTS:
            raise BadRequest(f"That is more than {_POINTS} samples.", param="step")
        return found

    def _all(self, number: int) -> Iterator[Sample]:
        yield from self._journals[number]
        if pending := self._pending[number]:
            step = RINGS[number].step
            yield merged(pending[-1]["at"] // step * step, pending)


def step_for(seconds: float) -> int:
    """Return the shortest step whose ring lasts so long, for some hundred points."""
    for ring in RINGS[:-1]:
        # A sample more: the time goes on while the client asks for "the last hour".
        if seconds <= ring.step * (min(ring.room, _USUAL) + 1):
            return ring.step
    return RINGS[-1].step


def merged(begin: int, samples: Iterable[Sample]) -> Sample:
    """Return one sample for several."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.items():
            if name != "at" and value is not None:
                values.setdefault(name, []).append(value)
    return {"at": begin, **{name: _one(name, numbers) for name, numbers in values.items()}}


def _one(name: str, numbers: list[float]) -> float:
    if name in COUNTS:
        return sum(numbers)
    if name.startswith(_MOST):
        return max(numbers)
    return round(sum(numbers) / len(numbers), 3)
