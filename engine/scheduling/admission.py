"""The requests: which may wait, which wait, which hold an engine, and which are refused. Pure.

1. A request waits for a configured variant. If its choice is older than the configuration, see
   ``engine/scheduling/reconfigure.py``.
2. If an engine backs off because memory is short, a request asks for a smaller variant at once: see
   ``engine/scheduling/failures.py``.
3. A request that holds an engine may return it for another try, and then keeps its turn.
4. At most ``max_queue`` requests wait; one that is served at once does not count. No request waits
   once the gateway is closing.
5. An auxiliary request holds its engine without taking a slot, and does not count for the time that
   requests hold theirs.

Every refusal goes to the effects, as the last thing that is said to the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.failures import queue_full, steps_down
from engine.scheduling.lifecycle import State
from engine.scheduling.queue import Queue, Waiting
from engine.scheduling.reconfigure import equivalent, gone, still_there
from utils.errors import EngineOutOfMemory, GatewayError, ShuttingDown

if TYPE_CHECKING:
    from engine.scheduling.engine_table import EngineRecord, EngineTable

_CLOSING = "The gateway is shutting down."


@dataclass(slots=True)
class Hold:
    """A request's hold on one run of an engine."""

    waiting: Waiting
    record: EngineRecord
    ticket: int
    since: float


class Admission:
    """Every request that waits for an engine, in ``queue``, or holds one, in ``holds``."""

    def __init__(self, engines: EngineTable, max_wait: float) -> None:
        self.queue = Queue(max_wait)
        self.closing = False
        self._engines = engines
        self.holds: dict[int, Hold] = {}
        # How long a request holds its engine on average, in seconds.
        self._pace = 1.0

    def arrive(self, event: ev.Arrived, out: list[ev.Effect]) -> None:
        """Add the request to the queue, or refuse it."""
        if self.closing:
            out.append(ev.Refuse(event.request, ShuttingDown(_CLOSING)))
            return
        waiting = waiting_of(event)
        if not self._renew(waiting, out):
            return
        # While memory is short, a smaller variant may do.
        while waiting.fallbacks and self._lacks_memory(waiting, event.now):
            steps_down(waiting)
        self.queue.add(waiting)

    def plain(self, event: ev.Arrived) -> bool:
        """Return whether ``arrive`` would add the request to the queue as it is.

        This is for a gateway that is not closing.
        """
        records = self._engines.records
        for variant in (event.minimum, *event.fallbacks):
            known = records.get(variant.label)
            if known is None or known.variant is not variant or known.shortages:
                return False
        return True

    def limit(self, request: int, most: int, now: float, out: list[ev.Effect]) -> None:
        """Refuse the newest request if more than ``most`` wait before it."""
        others = len(self.queue) - 1
        if request in self.queue and others >= most:
            living = self._engines.alive.values()
            loading = [each for each in living if each.state is State.STARTING]
            coming = self._coming(request)
            self.refuse(request, queue_full(others, loading, coming, self._pace, now), out)

    def grant(self, waiting: Waiting, record: EngineRecord, now: float) -> None:
        """Give the engine to the request, which leaves the queue."""
        self.queue.served(waiting, now)
        holders = record.auxiliary if waiting.auxiliary else record.active
        holders.add(waiting.request)
        self.holds[waiting.request] = Hold(waiting, record, record.ticket, now)

    def end(self, request: int, now: float) -> Hold | None:
        """Remove the request, which waits or holds; return its hold, if it had one."""
        held = self.holds.pop(request, None)
        if held is None:
            self.queue.drop(request)
            return None
        # A moving average is enough for Retry-After, which is an estimate.
        if not held.waiting.auxiliary:
            self._pace += 0.2 * ((now - held.since) - self._pace)
        record = held.record
        if record.ticket == held.ticket:
            record.active.discard(request)
            record.auxiliary.discard(request)
            record.idle_since = now
        return held

    def readmit(self, event: ev.Returned, held: Hold | None, out: list[ev.Effect]) -> None:
        """Put the request, which has ended with the hold ``held``, back to its old turn."""
        waiting = held.waiting if held else Waiting(event.request, event.minimum, event.now)
        # A request that asks for another engine knows now that a smaller one would not do.
        same = event.minimum.label == waiting.minimum.label
        fallbacks = waiting.fallbacks if same else ()
        waiting = replace(waiting, minimum=event.minimum, returned=True, fallbacks=fallbacks)
        self.queue.add(waiting)
        if self.closing:
            self.refuse(event.request, ShuttingDown(_CLOSING), out)
        else:
            self._renew(waiting, out)

    def refuse(self, request: int, error: GatewayError, out: list[ev.Effect]) -> None:
        """Send the error to the request, and remove it from the queue."""
        self.queue.drop(request)
        out.append(ev.Refuse(request, error))

    def refuse_for(self, record: EngineRecord, error: GatewayError, out: list[ev.Effect]) -> None:
        """Refuse the requests for that variant, unless a smaller one would do by rule 2."""
        # A request with a smaller minimum may still get its own, smaller variant.
        for waiting in self.queue:
            if waiting.minimum == record.variant:
                smaller = isinstance(error, EngineOutOfMemory) and steps_down(waiting)
                if not smaller:
                    self.refuse(waiting.request, error, out)

    def reconfigure(self, out: list[ev.Effect]) -> None:
        """Change every waiting request to the present configuration, or refuse it."""
        for waiting in self.queue:
            self._renew(waiting, out)

    def close(self, out: list[ev.Effect]) -> None:
        """Refuse all waiting requests, and let no request wait from now on."""
        self.closing = True
        for waiting in self.queue:
            self.refuse(waiting.request, ShuttingDown(_CLOSING), out)

    def _coming(self, request: int) -> list[EngineRecord]:
        """Return what must be loaded for the other waiting requests: a model's largest engine."""
        coming: dict[str, EngineRecord] = {}
        for waiting in self.queue:
            wanted = waiting.minimum
            live = self._engines.alive.get(wanted.model)
            served = live is not None and live.useful and waiting.served_by(live)
            other = coming.get(wanted.model)
            if waiting.request == request or served or (other and other.serves(wanted)):
                continue
            coming[wanted.model] = self._engines.records[wanted.label]
        return list(coming.values())

    def _renew(self, waiting: Waiting, out: list[ev.Effect]) -> bool:
        records = self._engines.records
        known = records.get(waiting.minimum.label)
        if known is not None and known.variant is waiting.minimum and not waiting.fallbacks:
            return True
        minimum = equivalent(records, waiting.minimum)
        if minimum is None:
            self.refuse(waiting.request, gone(records, waiting.minimum), out)
            return False
        waiting.minimum = minimum
        if waiting.fallbacks:
            waiting.fallbacks = still_there(records, waiting.fallbacks)
        return True

    def _lacks_memory(self, waiting: Waiting, now: float) -> bool:
        record = self._engines.records[waiting.minimum.label]
        return record.shortages > 0 and now < record.retry_at


def waiting_of(event: ev.Arrived) -> Waiting:
    """Return the request as it waits."""
    return Waiting(
        event.request,
        event.minimum,
        event.now,
        event.client,
        event.priority,
        fallbacks=event.fallbacks,
        keep_alive=event.keep_alive,
        auxiliary=event.auxiliary,
    )
