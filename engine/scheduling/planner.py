"""What can be done next for those who wait. Pure: a look at queue and engines, one act out.

The queue is walked in turn. Each request is decided about by these rules:

1. An engine that serves it and has a free place is granted, to it or to another
   that it serves (``Queue.fairest``), but to none behind an overdue request that
   needs a start. While the engine starts or is full, it is awaited: nobody
   behind may claim it.
2. Otherwise it needs a start, and ``eviction.room`` says who must make room.
   Those whom somebody before it awaits or has claimed do not, and
   a. a fresh engine does not, while somebody waits for it;
   b. a busy engine, or one that somebody waits for, does not until the request
      is overdue and ``min_residency`` has passed since it became ready;
   c. but a return waits for none of that, and b is not for the own model's
      engine: the larger one serves the same requests.
3. Nobody is refused while who is before it keeps the room; after that, a start
   that may not be tried yet, and one that finds no room beside engines that are
   kept, is refused before any engine ends for it.
4. Engines make room when all of them are free; until then they are claimed and
   serve nobody behind, and the room they make is nobody else's.
5. An auxiliary request takes no place: any ready engine of its model serves it at once, a full
   one too. A claimed one does so only while a request has a place on it, so that a row of
   auxiliary requests cannot keep the engine from making room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from engine.scheduling.eviction import Limits, room
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.scheduling.queue import Queue, Waiting
    from engine.scheduling.records import EngineRecord
    from models.spec import VariantSpec


@dataclass(frozen=True, slots=True)
class Serve:
    """Grant the engine to the request."""

    waiting: Waiting
    record: EngineRecord


@dataclass(frozen=True, slots=True)
class Start:
    """There is room: start this engine."""

    record: EngineRecord


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop these engines, which nobody uses."""

    records: Sequence[EngineRecord]


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse those who wait for this engine: it backs off, or has no room beside ``kept``."""

    record: EngineRecord
    kept: Sequence[VariantSpec] | None = None


Act = Serve | Start | Unload | Deny


def fits_now(wanted: VariantSpec, alive: Mapping[str, EngineRecord], limits: Limits) -> bool:
    """Whether it can start beside every process that there may be, also those that end."""
    return room(wanted, [record.variant for record in alive.values()], (), limits) is not None


def at_once(queue: Queue, alive: Mapping[str, EngineRecord]) -> Serve | None:
    """What a walk along a queue of one comes to where its engine is free; None otherwise."""
    if len(queue) != 1:
        return None
    (waiting,) = queue
    record = alive.get(waiting.minimum.model)
    if record is None or record.state is not State.READY or not waiting.served_by(record):
        return None
    free = waiting.auxiliary or len(record.active) < record.variant.parallel
    return Serve(waiting, record) if free else None


@dataclass(slots=True)
class Planner:
    """One walk along the queue, from its head until something can be done."""

    queue: Queue
    records: Mapping[str, EngineRecord]
    alive: Mapping[str, EngineRecord]
    limits: Limits
    min_residency: float
    now: float
    _awaited: set[int] = field(default_factory=set)
    _claimed: set[int] = field(default_factory=set)
    _planned: list[VariantSpec] = field(default_factory=list)
    _least: dict[str, int] = field(default_factory=dict)

    def act(self) -> Act | None:
        """The first thing that can be done; None when everybody must wait."""
        turn = self.queue.in_turn(self.now)
        for each in turn:
            model = each.minimum.model
            least = 0 if each.auxiliary else each.minimum.capacity
            self._least[model] = min(least, self._least.get(model, least))
        decided = set()
        for position, each in enumerate(turn):
            record = self._engine_for(each)
            if record is not None and each.auxiliary and record.state is State.READY:
                if record.active or record.ticket not in self._claimed:
                    return Serve(each, record)
                continue
            if record is not None:
                if self._free(record):
                    return Serve(self._next_for(record, turn[position:]), record)
                self._awaited.add(record.ticket)
                continue
            # What was decided for one holds for all behind who want the same as urgently.
            urgency = each.returned, self.queue.overdue(each, self.now)
            key = each.minimum.label, urgency
            if key not in decided:
                decided.add(key)
                act = self._make_room(each)
                if act is not None:
                    return act
        return None

    def _engine_for(self, waiting: Waiting) -> EngineRecord | None:
        record = self.alive.get(waiting.minimum.model)
        serves = record is not None and record.useful and waiting.served_by(record)
        return record if serves else None

    def _free(self, record: EngineRecord) -> bool:
        if record.state is not State.READY or record.ticket in self._claimed:
            return False
        return len(record.active) < record.variant.parallel

    def _next_for(self, record: EngineRecord, turn: Sequence[Waiting]) -> Waiting:
        rivals = []
        for each in turn:
            engine = self._engine_for(each)
            if engine is None and self.queue.overdue(each, self.now):
                break
            if engine is record and not each.auxiliary:
                rivals.append(each)
        return self.queue.fairest(rivals, self.now)

    def _make_room(self, waiting: Waiting) -> Act | None:
        wanted = waiting.minimum
        own = self.records[wanted.label]
        useful = [each for each in self.alive.values() if each.useful]
        rest = [each for each in useful if each.ticket not in self._claimed]
        may_go = [each for each in rest if not self._spared(each, waiting)]
        stay = [each.variant for each in rest if each not in may_go]
        victims = room(wanted, [*stay, *self._planned], may_go, self.limits)
        if victims is None:
            if room(wanted, (), useful, self.limits) is None:
                kept = [each.variant for each in useful if self.limits.keeps(each.variant, wanted)]
                return Deny(own, kept)
            return None
        if self.now < own.retry_at:
            return Deny(own)
        if victims and not any(victim.busy for victim in victims):
            return Unload(victims)
        if not victims and fits_now(wanted, self.alive, self.limits):
            return Start(own)
        self._claimed.update(victim.ticket for victim in victims)
        self._planned.append(wanted)
        return None

    def _spared(self, record: EngineRecord, waiting: Waiting) -> bool:
        """Whether the engine makes no room for the request, or not yet."""
        if record.ticket in self._awaited:
            return True
        wanted = self._least.get(record.variant.model, inf) <= record.variant.capacity
        if waiting.returned or not (wanted or record.busy):
            return False
        if wanted and record.unused:
            return True
        if record.variant.model == waiting.minimum.model:
            return False
        fresh = self.now < record.ready_at + self.min_residency
        return fresh or not self.queue.overdue(waiting, self.now)
