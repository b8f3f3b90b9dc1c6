"""Who gets an engine, and which engine lives. Pure: events in, effects out.

Rules, in the order in which they are applied:

1.  Engines live side by side as far as ``Limits`` allow; by default one at a
    time. An engine starts only after the exit of those it cannot live beside.
2.  Requests have their turn in the order of their arrival; one that returns for
    another try keeps its turn. At most ``max_queue`` wait. Where
    ``max_switch_wait`` allows it, requests for engines that run are served
    before the engine makes room, clients are served in turn, and priorities
    count: see ``engine/scheduling/queue.py``.
3.  A running engine serves every request of its model that fits its capacity,
    ``parallel`` of them at once. A request that no engine can serve claims
    those that must make room for it: they serve nobody after it, and end when
    all of them are free. A busy engine is never ended: see ``engine/scheduling/planner.py``.
    An auxiliary request, which takes no room in a context, needs no place and is
    served by any ready engine of its model; by rule 6 it says nothing of what fits.
4.  A start is never wasted. One that nobody waits for any more goes on while no
    other is wanted: the engine is warm for the next request, and its idle time
    unloads it. When a request wants its room, but someone behind waits for this
    start, it goes on and serves that one before; only a request that returned
    from another try does not wait for it.
5.  A failed start is told to all who waited for it. Until its back-off is over
    the same answer is given at once; no failure is final. An engine that ran out of
    memory is tried once more, alone; then whoever waits for it moves to a smaller
    variant that would do: see ``engine/scheduling/out_of_memory.py``.
6.  An idle engine is unloaded after its idle time. Before that it is replaced
    by a smaller variant when the last ``shrink_requests`` requests would all
    have fit one and ``shrink_after`` seconds have passed without any. A request
    may set the idle time of its model (``keep_alive``): for as long as the model
    is loaded, in whatever variant, or until another sets it. Where asked for, a larger
    variant replaces it for a conversation that will need one: see ``engine/scheduling/idle.py``.
7.  With another configuration, engines that are defined as before go on; others
    end as soon as their requests have, and so does who exceeds the limits. Who
    waits gets an engine of the new definition: see ``engine/scheduling/reconfigure.py``. An
    unload takes the engines that live: what starts or is idle stops, a busy one
    drains first. Who waits goes on waiting, and may start one afresh.
8.  While draining, whoever waits is refused, and engines stop as soon as their
    requests have ended.

Engine states are owned by ``engine_table.py``, who waits and who holds an engine by
``admission.py``. Time comes inside the events; nothing here reads a clock, awaits or logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.admission import Admission
from engine.scheduling.engine_table import EngineTable
from engine.scheduling.eviction import Limits
from engine.scheduling.failures import no_room, start_failed
from engine.scheduling.idle import IdleEngines
from engine.scheduling.lifecycle import Event, State
from engine.scheduling.planner import Act, Deny, Planner, Serve, Start, Unload, at_once
from engine.scheduling.policy import Policy
from engine.scheduling.records import EngineRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.observer import Changed
    from engine.scheduling.queue import Waiting
    from models.spec import VariantSpec

__all__ = ["EngineRecord", "Limits", "Policy", "Scheduler"]


class Scheduler:
    """Turns each event into effects, of which engines and requests each have their side."""

    def __init__(
        self,
        variants: Iterable[VariantSpec],
        policy: Policy,
        limits: Limits | None = None,
        loads: Mapping[str, float] | None = None,
    ) -> None:
        self._policy = policy
        self._engines = EngineTable(variants, limits or Limits(), loads)
        self._admission = Admission(self._engines, policy.max_switch_wait)
        self._queue = self._admission.queue
        self._idle = IdleEngines(self._engines)

    # -- what others may see ---------------------------------------------------------

    @property
    def records(self) -> tuple[EngineRecord, ...]:
        """Every variant's record, as they are configured; then those of engines that are not."""
        return self._engines.all

    @property
    def waiting(self) -> tuple[int, ...]:
        """The requests in the queue, in the order of their arrival."""
        return tuple(waiting.request for waiting in self._queue)

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def line(self, now: float) -> list[Waiting]:
        """Those who wait, in the order in which they have their turn."""
        return self._queue.in_turn(now)

    def changes(self) -> list[Changed]:
        """The engines that changed since the last call, in order."""
        return self._engines.changes()

    def live(self, model: str | None = None) -> EngineRecord | None:
        """The record of the model, or of any, whose process may exist, or None."""
        if model is not None:
            return self._engines.alive.get(model)
        return next(iter(self._engines.alive.values()), None)

    def variant(self, ticket: int) -> VariantSpec:
        """What runs under this ticket, as it is defined now; KeyError when the run is over."""
        return self._engines.variant(ticket)

    def upcoming(self, now: float) -> VariantSpec | None:
        """The variant that a request waits for and that has no room yet.

        None while another engine loads, which wants the disk for itself.
        """
        alive = self._engines.alive
        if any(record.state is State.STARTING for record in alive.values()):
            return None
        for waiting in self._queue.in_turn(now):
            live = alive.get(waiting.minimum.model)
            if live is None or not (live.useful and waiting.served_by(live)):
                return waiting.minimum
        return None

    def latest(self, minimum: VariantSpec) -> EngineRecord | None:
        """The record of the engine that was started last of those that serve ``minimum``."""
        return self._engines.latest(minimum)

    def idle_time(self, record: EngineRecord) -> float:
        """After so many seconds without a request the engine ends; infinite: never."""
        return self._idle.time_of(record)

    # -- events ----------------------------------------------------------------------

    def handle(self, event: ev.Event) -> list[ev.Effect]:
        """The effects of ``event``, to be performed in order. Stale tickets have none."""
        out: list[ev.Effect] = []
        match event:
            case ev.Arrived():
                self._admission.arrive(event, out)
            case ev.Returned() | ev.Left():
                self._given_back(event, out)
            case ev.EngineReady() | ev.EngineUnhealthy() | ev.EngineMeasured() | ev.EngineExited():
                self._reported(event, out)
            case ev.Reconfigure():
                self._reconfigure(event, out)
            case ev.Unload():
                self._unload(event, out)
            case ev.Drain() | ev.Halt():
                self._drain(out, now=isinstance(event, ev.Halt))
        # All that a Tick is for; and whatever happened, it may be somebody's turn.
        self._dispatch(event.now, out)
        if isinstance(event, ev.Arrived):
            self._admission.limit(event.request, self._policy.max_queue, event.now, out)
        return out

    def _given_back(self, event: ev.Returned | ev.Left, out: list[ev.Effect]) -> None:
        held = self._admission.end(event.request, event.now)
        if held is not None and held.ticket == held.record.ticket:
            record = held.record
            if record.state is State.DRAINING and not record.busy:
                self._engines.move(record, Event.DRAINED)
                out.append(ev.StopEngine(record.ticket))
        if isinstance(event, ev.Returned):
            self._admission.readmit(event, held, out)
        elif held is not None and event.ahead is not None:
            # Harmless where the engine has ended since: a start forgets it.
            held.record.ahead = event.ahead

    def _reported(self, event: ev.Report, out: list[ev.Effect]) -> None:
        match event:
            case ev.EngineReady():
                self._engines.ready(event)
            case ev.EngineUnhealthy():
                self._unhealthy(event, out)
            case ev.EngineMeasured():
                self._engines.measured(event.engine, event.amounts)
            case _:
                record = self._engines.exited(event)
                if record is not None:
                    self._admission.refuse_for(record, start_failed(record, event.now), out)

    def _unhealthy(self, event: ev.EngineUnhealthy, out: list[ev.Effect]) -> None:
        record = self._engines.run(event.engine)
        if record is None or record.state not in (State.STARTING, State.READY, State.DRAINING):
            return
        if record.state is State.STARTING:
            self._admission.refuse_for(record, event.error, out)
        self._engines.unhealthy(record, event.error.message)
        out.append(ev.StopEngine(record.ticket, planned=False))

    def _unload(self, event: ev.Unload, out: list[ev.Effect]) -> None:
        for record in self._engines.alive.values():
            if event.model not in (None, record.variant.model):
                continue
            self._idle.forget(record.variant.model)
            self._dismiss(record, out, force=event.force)

    def _drain(self, out: list[ev.Effect], *, now: bool) -> None:
        self._admission.close(out)
        self._idle.retain(lambda _: False)
        for record in self._engines.alive.values():
            self._dismiss(record, out, force=now)

    def _reconfigure(self, event: ev.Reconfigure, out: list[ev.Effect]) -> None:
        if self._admission.closing:
            return
        self._policy = event.policy
        self._queue.max_wait = event.policy.max_switch_wait
        going = self._engines.renew(event)
        self._idle.retain(self._engines.configured)
        for record in going:
            self._dismiss(record, out)
        self._admission.renew(out)

    # -- decisions -------------------------------------------------------------------

    def _dispatch(self, now: float, out: list[ev.Effect]) -> None:
        # An act may change what those before it can have: each walk starts at the head.
        while self._queue and (act := self._next(now)) is not None:
            match act:
                case Serve():
                    self._grant(act.waiting, act.record, now, out)
                case Start():
                    self._start(act.record, now, out)
                case Unload():
                    for record in act.records:
                        self._make_way(record, out)
                case _:
                    self._deny(act, now, out)
        self._idle.rest(self._policy, now, out, waited=bool(self._queue))

    def _next(self, now: float) -> Act | None:
        engines, residency = self._engines, self._policy.min_residency
        act = at_once(self._queue, engines.alive)
        if act is not None:
            return act
        planner = Planner(
            self._queue, engines.records, engines.alive, engines.limits, residency, now
        )
        return planner.act()

    def _deny(self, act: Deny, now: float, out: list[ev.Effect]) -> None:
        if act.kept is None:
            error = start_failed(act.record, now)
        else:
            error = no_room(act.record.variant, act.kept)
        self._admission.refuse_for(act.record, error, out)

    # -- acts ------------------------------------------------------------------------

    def _start(self, record: EngineRecord, now: float, out: list[ev.Effect]) -> None:
        self._idle.forget(record.variant.model)
        self._engines.start(record, now, out)

    def _make_way(self, record: EngineRecord, out: list[ev.Effect]) -> None:
        model = record.variant.model
        # With a larger variant to follow, its model stays loaded.
        if not any(w.minimum.model == model and not w.served_by(record) for w in self._queue):
            self._idle.release(model)
        self._engines.stop(record, out)

    def _dismiss(self, record: EngineRecord, out: list[ev.Effect], *, force: bool = False) -> None:
        """It serves nobody any more, and ends when its requests have; with ``force`` now."""
        self._idle.release(record.variant.model)
        if record.state is State.READY and record.busy and not force:
            self._engines.move(record, Event.DRAIN)
        elif record.useful or force:
            self._engines.stop(record, out)

    def _grant(
        self, waiting: Waiting, record: EngineRecord, now: float, out: list[ev.Effect]
    ) -> None:
        record.unused = False
        record.use(now)
        if not waiting.auxiliary:
            record.needs.append(waiting.minimum)
            if len(record.needs) > self._policy.shrink_requests:
                record.needs.popleft()
            record.ahead = None
        if waiting.keep_alive is not None:
            self._idle.keep(record.variant.model, waiting.keep_alive)
        out.append(self._admission.grant(waiting, record, now))
