"""Who waits, and in which order they have their turn. Pure.

1. Requests have their turn in the order of their arrival, those of a higher
   priority first. After each ``max_wait`` a request rises by one priority. One
   that returns is of the highest.
2. Of those whom the same engine could serve, the highest priority goes first,
   and within it the clients are served in turn. Here a request rises only after
   each ``max_wait`` in which its client got nothing of that model and priority:
   the backlog of one client must not crowd out the others by its age.
3. Whoever waited ``max_wait``, or returns, is overdue: nobody who came later is
   served before it by an engine that must make room for it.
4. With ``max_wait`` 0 all that counts is the order of arrival.
5. An auxiliary request takes no place, so it is no turn of its client.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.scheduling.records import EngineRecord
    from models.spec import VariantSpec


class Priority(IntEnum):
    """How urgent a request is."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


@dataclass(slots=True)
class Waiting:
    """A request in the queue; numbers grow with arrival."""

    request: int
    minimum: VariantSpec
    since: float
    client: str = ""
    priority: Priority = Priority.NORMAL
    returned: bool = False
    fallbacks: tuple[VariantSpec, ...] = ()
    keep_alive: float | None = None
    auxiliary: bool = False

    def served_by(self, record: EngineRecord) -> bool:
        """Return whether the engine, once ready, can serve the request."""
        if self.auxiliary:
            return record.variant.model == self.minimum.model
        return record.serves(self.minimum)


class Queue:
    """The requests that wait, iterated in the order of arrival."""

    def __init__(self, max_wait: float) -> None:
        self.max_wait = max_wait
        self._waiting: dict[int, Waiting] = {}
        # How often each client of a model was served, as far as it is ahead of the others.
        self._turns: dict[str, dict[str, int]] = {}
        self._floors: dict[str, int] = {}
        self._served_at: dict[tuple[str, str, Priority], float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting.values()))

    def __contains__(self, request: int) -> bool:
        return request in self._waiting

    def add(self, waiting: Waiting) -> None:
        """The request waits; one that returns stands where its number belongs."""
        last = next(reversed(self._waiting), waiting.request)
        self._waiting[waiting.request] = waiting
        if last > waiting.request:
            self._waiting = {number: self._waiting[number] for number in sorted(self._waiting)}

    def drop(self, request: int) -> None:
        """The request does not wait any more; harmless if it did not."""
        self._waiting.pop(request, None)

    def in_turn(self, now: float) -> list[Waiting]:
        """Everyone in the order of rule 1."""
        waiting = list(self._waiting.values())
        if self.max_wait and len(waiting) > 1:
            waiting.sort(key=lambda each: (-self._level(each, now), each.request))
        return waiting

    def overdue(self, waiting: Waiting, now: float) -> bool:
        """Whether rule 3 holds for the request."""
        return waiting.returned or now - waiting.since >= self.max_wait

    def fairest(self, rivals: Sequence[Waiting], now: float) -> Waiting:
        """Whom of those in turn, whom the same engine could serve, it serves next."""
        first = rivals[0]
        if len(rivals) == 1 or not self.max_wait:
            return first
        levels = [self._level(each, now, self._served_at.get(_flow(each))) for each in rivals]
        highest = max(levels)
        peers = [each for each, level in zip(rivals, levels, strict=True) if level == highest]
        return min(peers, key=lambda each: (not each.returned, self._turns_of(each), each.request))

    def served(self, waiting: Waiting, now: float) -> None:
        """Remove the request, which is served now, and count a turn of its client (rule 5)."""
        self.drop(waiting.request)
        if waiting.auxiliary:
            return
        model = waiting.minimum.model
        floor = self._turns_of(waiting)
        turns = self._turns.setdefault(model, {})
        turns[waiting.client] = floor + 1
        if floor > self._floors.get(model, 0):
            # A client that is not ahead need not be remembered.
            for client in [client for client, number in turns.items() if number <= floor]:
                del turns[client]
            self._floors[model] = floor
        flow = _flow(waiting)
        # Kept in the order of time. After two rises there is nothing left to remember.
        self._served_at.pop(flow, None)
        self._served_at[flow] = now
        oldest = now - 2 * self.max_wait
        while self._served_at and self._served_at[first := next(iter(self._served_at))] <= oldest:
            del self._served_at[first]

    def _turns_of(self, waiting: Waiting) -> int:
        model = waiting.minimum.model
        floor = self._floors.get(model, 0)
        return max(floor, self._turns.get(model, {}).get(waiting.client, 0))

    def _level(self, waiting: Waiting, now: float, served_at: float | None = None) -> int:
        if waiting.returned:
            return Priority.HIGH
        since = waiting.since if served_at is None else max(waiting.since, served_at)
        return min(Priority.HIGH, waiting.priority + int((now - since) // self.max_wait))


def _flow(waiting: Waiting) -> tuple[str, str, Priority]:
    return waiting.minimum.model, waiting.client, waiting.priority
