"""Decide the next step for the waiting requests. Pure: queue and engines in, one act out.

The queue is examined in the order of turns. For each request:

1. If an engine that can serve it has a free slot, the engine is granted to it, or to another
   request that it can serve (``Queue.fairest``), but to none behind an overdue request that needs a
   start. If the engine is starting or full, the request waits for it, and no request behind may
   claim it.
2. Otherwise the request needs a start. ``eviction.room`` chooses the engines to evict. An engine
   that a request before it waits for or has claimed is not evicted, and
   a. a new engine is not evicted while a request waits for it;
   b. a busy engine, or one that a request waits for, is not evicted until this request is overdue
      and ``min_residency`` has passed since the engine became ready;
   c. but a returned request waits for none of that, and b does not apply to the model's own engine:
      the larger one serves the same requests.
3. No request is refused while a request before it keeps the room. After that, a start that may not
   be tried yet, and one that finds no room beside engines that are kept, is refused before any
   engine is evicted for it.
4. Engines are evicted once all of them are free. Until then they are claimed: they serve no request
   behind, and no other request gets their room.
5. An auxiliary request takes no slot: any ready engine of its model serves it at once, even a full
   one. A claimed engine does so only while it serves another request, so that a series of auxiliary
   requests cannot keep it from being evicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from engine.scheduling.eviction import Limits, room
from engine.scheduling.lifecycle import State
from engine.scheduling.waits import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.scheduling.engine_table import EngineRecord
    from engine.scheduling.queue import Queue, Waiting
    from models.spec import VariantSpec


@dataclass(frozen=True, slots=True)
class Serve:
    """Grant the engine to the request."""

    waiting: Waiting
    record: EngineRecord


@dataclass(frozen=True, slots=True)
class Start:
    """Start this engine; there is room for it."""

    record: EngineRecord


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop these engines, which no request uses, for the one that waits."""

    records: Sequence[EngineRecord]
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse the requests for this engine: it backs off, or has no room beside ``kept``."""

    record: EngineRecord
    kept: Sequence[VariantSpec] | None = None


Act = Serve | Start | Unload | Deny


def fits_now(wanted: VariantSpec, alive: Mapping[str, EngineRecord], limits: Limits) -> bool:
    """Return whether it can start beside every process that may exist, also ending ones."""
    return room(wanted, [record.variant for record in alive.values()], (), limits) is not None


def at_once(queue: Queue, alive: Mapping[str, EngineRecord]) -> Serve | None:
    """Return the result for a queue of one request whose engine is free; None otherwise."""
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
    """One pass over the queue, from its head, until there is something to do.

    If there is nothing, ``held`` has for each request its own engine, or what is in its way.
    """

    queue: Queue
    records: Mapping[str, EngineRecord]
    alive: Mapping[str, EngineRecord]
    limits: Limits
    min_residency: float
    now: float
    held: dict[int, Blocked | EngineRecord] = field(default_factory=dict)
    _awaited: set[int] = field(default_factory=set)
    _claimed: set[int] = field(default_factory=set)
    _planned: list[VariantSpec] = field(default_factory=list)
    _least: dict[str, int] = field(default_factory=dict)

    def act(self) -> Act | None:
        """Return the first thing to do; None if every request must wait."""
        turn = self.queue.in_turn(self.now)
        decided: dict[tuple[str, tuple[bool, bool]], Blocked] = {}
        for position, each in enumerate(turn):
            record = self._engine_for(each)
            if record is not None and each.auxiliary and record.state is State.READY:
                if record.active or record.ticket not in self._claimed:
                    return Serve(each, record)
                self._hold(each, record)
                continue
            if record is not None:
                if self._free(record):
                    return Serve(self._next_for(record, turn[position:]), record)
                self._awaited.add(record.ticket)
                self._hold(each, record)
                continue
            # A decision also holds for all requests behind with the same wish and urgency.
            urgency = each.returned, self.queue.overdue(each, self.now)
            key = each.minimum.label, urgency
            if key not in decided:
                act = self._make_room(each)
                if not isinstance(act, Blocked):
                    return act
                decided[key] = act
            self.held[each.request] = decided[key]
        return None

    def _hold(self, waiting: Waiting, record: EngineRecord) -> None:
        claimed = record.ticket in self._claimed
        self.held[waiting.request] = Blocked("turn", (record.variant,)) if claimed else record

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

    def _wanted(self) -> dict[str, int]:
        """Return the least capacity that waiting requests want of each model."""
        if not self._least:
            for each in self.queue:
                model = each.minimum.model
                least = 0 if each.auxiliary else each.minimum.capacity
                self._least[model] = min(least, self._least.get(model, least))
        return self._least

    def _make_room(self, waiting: Waiting) -> Act | Blocked:
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
            others = [*stay, *self._planned]
            return Blocked("room", others, self.limits.lacking(wanted, others))
        if self.now < own.retry_at:
            return Deny(own)
        if victims and not any(victim.busy for victim in victims):
            return Unload(victims, waiting)
        if not victims and fits_now(wanted, self.alive, self.limits):
            return Start(own)
        self._claimed.update(victim.ticket for victim in victims)
        self._planned.append(wanted)
        # Engines that are not among the rest end, or are claimed as these are.
        going = victims or [each for each in self.alive.values() if each not in rest]
        kind = "busy" if any(each.useful for each in going) else "ending"
        others = [each.variant for each in self.alive.values()]
        short = self.limits.lacking(wanted, others)
        return Blocked(kind, [each.variant for each in going], short)

    def _spared(self, record: EngineRecord, waiting: Waiting) -> bool:
        """Return whether the engine is not evicted for the request, or not yet."""
        if record.ticket in self._awaited:
            return True
        wanted = self._wanted().get(record.variant.model, inf) <= record.variant.capacity
        if waiting.returned or not (wanted or record.busy):
            return False
        if wanted and record.unused:
            return True
        if record.variant.model == waiting.minimum.model:
            return False
        fresh = self.now < record.ready_at + self.min_residency
        return fresh or not self.queue.overdue(waiting, self.now)
