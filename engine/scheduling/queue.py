"""The waiting requests, and the order of their turns. Pure.

1. Turns are in the order of arrival, with higher priorities first. After each ``max_wait`` the
   priority of a waiting request rises by one. A returned request has the highest priority.
2. Among requests that the same engine can serve, the highest priority goes first, and within it the
   clients take turns. Here the priority rises only after each ``max_wait`` in which the client got
   nothing of that model and priority. So the backlog of one client does not displace the others by
   its age.
3. A request that has waited for ``max_wait``, or was returned, is overdue: an engine that must make
   room for it serves no later request before it.
4. With ``max_wait`` 0 only the order of arrival counts.
5. An auxiliary request takes no slot, so it is not a turn of its client.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.scheduling.engine_table import EngineRecord
    from models.spec import VariantSpec


class Priority(IntEnum):
    """The priority of a request."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


@dataclass(slots=True)
class Waiting:
    """A request in the queue; later requests have larger numbers."""

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
    """The waiting requests, by number in ``waiting``, in the order of arrival."""

    def __init__(self, max_wait: float) -> None:
        self.max_wait = max_wait
        self.waiting: dict[int, Waiting] = {}
        # How often each client of a model was served, beyond the others.
        self._turns: dict[str, dict[str, int]] = {}
        self._floors: dict[str, int] = {}
        self._served_at: dict[tuple[str, str, Priority], float] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self.waiting.values()))

    def __contains__(self, request: int) -> bool:
        return request in self.waiting

    def add(self, waiting: Waiting) -> None:
        """Add the request; one that returns goes to the place of its number."""
        last = next(reversed(self.waiting), waiting.request)
        self.waiting[waiting.request] = waiting
        if last > waiting.request:
            self.waiting = {number: self.waiting[number] for number in sorted(self.waiting)}

    def drop(self, request: int) -> None:
        """Remove the request. Does nothing if it is not in the queue."""
        self.waiting.pop(request, None)

    def in_turn(self, now: float) -> list[Waiting]:
        """Return all requests in the order of rule 1."""
        waiting = list(self.waiting.values())
        if self.max_wait and len(waiting) > 1:
            waiting.sort(key=lambda each: (-self._level(each, now), each.request))
        return waiting

    def overdue(self, waiting: Waiting, now: float) -> bool:
        """Return whether the request is overdue by rule 3."""
        return waiting.returned or now - waiting.since >= self.max_wait

    def fairest(self, rivals: Sequence[Waiting], now: float) -> Waiting:
        """Return the request to serve next, of the ``rivals`` that the same engine can serve."""
        first = rivals[0]
        if len(rivals) == 1 or not self.max_wait:
            return first
        levels = [self._level(each, now, self._served_at.get(_flow(each))) for each in rivals]
        highest = max(levels)
        peers = [each for each, level in zip(rivals, levels, strict=True) if level == highest]
        return min(peers, key=lambda each: (not each.returned, self._turns_of(each), each.request))

    def served(self, waiting: Waiting, now: float) -> None:
        """Remove the request, which is served now, and count a turn of its client (rule 5)."""
        self.waiting.pop(waiting.request, None)
        if waiting.auxiliary or not self.max_wait:
            return
        model, client = waiting.minimum.model, waiting.client
        flow = (model, client, waiting.priority)
        if len(self._served_at) == 1 and flow in self._served_at:
            # Alone, a client is ahead by the same turn after each of its requests.
            self._served_at[flow] = now
            return
        turns, least = self._turns.setdefault(model, {}), self._floors.get(model, 0)
        floor = max(least, turns.get(client, 0))
        turns[client] = floor + 1
        if floor > least:
            # A client that is not ahead of the others is not remembered.
            for other, number in tuple(turns.items()):
                if number <= floor:
                    del turns[other]
            self._floors[model] = floor
        # In the order of time. After two rises of priority an entry has no effect any more, nor
        # have the client's turns: a name that was sent once is not kept.
        self._served_at.pop(flow, None)
        self._served_at[flow] = now
        oldest = now - 2 * self.max_wait
        while self._served_at[first := next(iter(self._served_at))] <= oldest:
            del self._served_at[first]
            self._forget(*first[:2])

    def _forget(self, model: str, client: str) -> None:
        if not any((model, client, priority) in self._served_at for priority in Priority):
            self._turns.get(model, {}).pop(client, None)

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
