"""Decide which request gets an engine, and which engines run. Pure: events in, effects out.

The rules, in the order in which they apply:

1.  Engines run side by side as far as ``Limits`` allow; by default one at a time. An engine starts
    only after the exit of those that it cannot run beside.
2.  Requests are served in the order of their arrival; one that returns for another try keeps its
    turn. At most ``max_queue`` wait. If ``max_switch_wait`` allows it, requests for running engines
    are served before the engine is evicted, clients take turns, and priorities count: see
    ``engine/scheduling/queue.py``.
3.  A running engine serves every request of its model that fits its capacity, ``parallel`` of them
    at once. A request that no engine can serve claims the engines to evict for it: they serve no
    later request, and end when all of them are free. A busy engine is never ended: see
    ``engine/scheduling/planner.py``. An auxiliary request takes no context and no slot; any ready
    engine of its model serves it. It does not count for rule 6.
4.  A start is never wasted. If no request waits for it any more, it goes on while no other engine
    is wanted: the engine is ready for the next request, and its idle time unloads it. If a request
    wants its room, but a later request waits for this start, the engine starts and serves that one
    first. Only a request that returned from another try does not wait for it.
5.  A failed start is reported to all requests that waited for it. Until its back-off is over, other
    requests get the same answer at once; no failure is final. An engine that ran out of memory is
    started once more, alone; then its requests move to a smaller variant that would do: see
    ``engine/scheduling/failures.py``.
6.  An idle engine is unloaded after its idle time. Before that, a smaller variant replaces it if
    the last ``shrink_requests`` requests would all have fit the smaller one, and ``shrink_after``
    seconds have passed without a request. A request may set the idle time of its model
    (``keep_alive``): as long as the model is loaded, in whatever variant, or until another request
    sets it. With ``grow_ahead``, a larger variant replaces it for a conversation that will need
    one: see ``engine/scheduling/idle.py``.
7.  After a change of the configuration, engines with the same definition run on. Others end as soon
    as their requests have ended, and so do those beyond the limits. Waiting requests get an engine
    of the new definition: see ``engine/scheduling/reconfigure.py``. An unload ends running engines:
    a starting or idle one stops, a busy one drains first. Waiting requests go on waiting, and may
    start the engine again.
8.  While draining, waiting requests are refused, and engines stop as soon as their requests have
    ended.

Most requests find a ready engine with a free slot, and an empty queue. ``admit`` and ``leave`` are
the short way for them: they come to the same as ``handle``, without effects, or change nothing and
leave the event to ``handle``.

``engine_table.py`` owns the engine states; ``admission.py`` owns the waiting requests and the
holds. Events bring the time; nothing here reads a clock, awaits or logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.admission import Admission, waiting_of
from engine.scheduling.engine_table import (
    EngineRecord,
    EngineTable,
    Reconfiguration,
    reconfiguration,
)
from engine.scheduling.eviction import Limits
from engine.scheduling.failures import no_room, start_failed
from engine.scheduling.idle import IdleEngines
from engine.scheduling.lifecycle import Event, State
from engine.scheduling.planner import Act, Deny, Planner, Serve, Start, Unload, at_once, fits_now
from engine.scheduling.policy import Policy
from engine.scheduling.reasons import Why, evicted
from engine.scheduling.waits import wait_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from engine.observer import Changed
    from engine.scheduling.queue import Waiting
    from engine.scheduling.waits import Blocked, Wait
    from models.spec import VariantSpec

__all__ = ["EngineRecord", "Limits", "Policy", "Scheduler"]


class Scheduler:
    """Turns each event into effects, through the table of engines and the admission."""

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
        # What each waiting request waits for, by the last decision.
        self._held: Mapping[int, Blocked | EngineRecord] = {}

    # -- what others may see ---------------------------------------------------------

    @property
    def records(self) -> tuple[EngineRecord, ...]:
        """The record of every configured variant; then those of retired engines."""
        return self._engines.all

    def reconfiguration(
        self, variants: Iterable[VariantSpec], kept: Collection[str], limits: Limits
    ) -> Reconfiguration:
        """Return what a ``Reconfigure`` will need; it changes nothing, so a thread may ask."""
        return reconfiguration(self._engines.records, variants, kept, limits)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The requests in the queue, in the order of their arrival."""
        return tuple(waiting.request for waiting in self._queue)

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def room(self) -> bool:
        """Whether an engine could probably be started now: no request waits, and one may end."""
        limits = self._engines.limits
        here = [r for r in self.records if r.state.live and r.variant.model not in limits.elsewhere]
        idle = any(not record.busy for record in here)
        return not self._queue and (len(here) < limits.max_loaded or idle)

    def line(self, now: float) -> list[Waiting]:
        """Return the waiting requests in the order of their turns."""
        return self._queue.in_turn(now)

    def why_waits(self, request: int, now: float) -> Wait | None:
        """Return why the request waits, by the last decision; None if it does not wait."""
        for place, waiting in enumerate(self._queue.in_turn(now), start=1):
            if waiting.request == request:
                return wait_of(waiting.minimum, place, self._held.get(request))
        return None

    def changes(self) -> list[Changed]:
        """Return the engines that changed since the last call, in order."""
        return self._engines.changes()

    def fits(self, wanted: VariantSpec) -> bool:
        """Return whether it can be loaded beside the engines of all other models that are used."""
        alive = self._engines.alive
        others = {name: each for name, each in alive.items() if each.useful}
        others.pop(wanted.model, None)
        return fits_now(wanted, others, self._engines.limits)

    def live(self, model: str | None = None) -> EngineRecord | None:
        """Return the record of the model, or of any, whose process may exist, or None."""
        if model is not None:
            return self._engines.alive.get(model)
        return next(iter(self._engines.alive.values()), None)

    @property
    def learnt(self) -> Mapping[str, Mapping[str, int]]:
        """What was learnt of each variant's memory, by label, in bytes by resource."""
        return self._engines.limits.learnt

    @property
    def pinned(self) -> frozenset[str]:
        """The models that an operator has pinned."""
        return self._engines.pinned

    def variant(self, ticket: int) -> VariantSpec:
        """Return the variant of this ticket, as it is defined now; KeyError after its run."""
        return self._engines.variant(ticket)

    def upcoming(self, now: float) -> VariantSpec | None:
        """Return the variant that a request waits for and that has no room yet.

        Return None while another engine loads, because that engine needs the disk.
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
        """Return the record of the engine that started last, of those that serve ``minimum``."""
        return self._engines.latest(minimum)

    def idle_time(self, record: EngineRecord) -> float:
        """Return the seconds without a request after which the engine ends; infinite: never."""
        return self._idle.time_of(record)

    # -- the short way ---------------------------------------------------------------

    def admit(self, event: ev.Arrived) -> EngineRecord | None:
        """Grant a free engine at once, and return its record; None if ``handle`` must decide."""
        minimum, now = event.minimum, event.now
        record = self._engines.alive.get(minimum.model)
        if record is None or record.state is not State.READY or self._queue.waiting:
            return None
        larger = record.variant.capacity >= minimum.capacity
        free = larger and len(record.active) < record.variant.parallel
        if not (free or event.auxiliary) or not self._idle.nothing_due(now):
            return None
        if not self._admission.plain(event):
            return None
        self._granted(waiting_of(event), record, now)
        return record

    def leave(self, request: int, now: float) -> bool:
        """Give a request's slot back, if nothing follows; else return False for ``handle``."""
        held = self._admission.holds.get(request)
        if held is None or self._queue.waiting or held.record.state is not State.READY:
            return False
        record, idle = held.record, self._idle
        last = len(record.active) + len(record.auxiliary) == 1
        quiet = idle.rests_after(record, self._policy, now) if last else idle.nothing_due(now)
        if quiet:
            self._admission.end(request, now)
        return quiet

    # -- events ----------------------------------------------------------------------

    def handle(self, event: ev.Event) -> list[ev.Effect]:
        """Return the effects of ``event``, to be performed in order. Stale tickets have none."""
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
            case ev.Pin():
                self._pin(event)
            case ev.Drain() | ev.Halt():
                self._drain(out, now=isinstance(event, ev.Halt))
            case ev.Tick():
                self._idle.woken()
        # After any event it may be a request's turn.
        self._dispatch(event.now, out)
        if self._queue and isinstance(event, ev.Arrived):
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
            # It has no effect if the engine has ended since: a start forgets it.
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

    def _pin(self, event: ev.Pin) -> None:
        model = {event.model}
        pinned = self._engines.pinned
        self._engines.pin(pinned | model if event.pinned else pinned - model)

    def _unload(self, event: ev.Unload, out: list[ev.Effect]) -> None:
        gone = self._engines.pinned if event.model is None else {event.model}
        self._engines.pin(self._engines.pinned - gone)
        for record in self._engines.alive.values():
            if event.model not in (None, record.variant.model):
                continue
            self._idle.forget(record.variant.model)
            self._dismiss(record, out, Why("operator"), force=event.force)

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
        going = self._engines.reconfigure(event)
        self._idle.retain(self._engines.configured)
        for record in going:
            self._dismiss(record, out, Why("configuration"))
        self._admission.reconfigure(out)

    # -- decisions -------------------------------------------------------------------

    def _dispatch(self, now: float, out: list[ev.Effect]) -> None:
        # An act may change what earlier requests can have, so each pass starts at the head.
        while self._queue and (act := self._next(now)) is not None:
            match act:
                case Serve():
                    self._granted(act.waiting, act.record, now)
                    out.append(ev.Grant(act.waiting.request, act.record.ticket))
                case Start():
                    self._start(act.record, now, out)
                case Unload():
                    for record in act.records:
                        self._make_way(record, act.waiting, out)
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
        self._held = planner.held
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

    def _make_way(self, record: EngineRecord, waiting: Waiting, out: list[ev.Effect]) -> None:
        wanted, limits = waiting.minimum, self._engines.limits
        living = [each.variant for each in self._engines.alive.values()]
        why = evicted(waiting.request, wanted, record.variant, living, limits)
        model = record.variant.model
        # If a larger variant follows, the model stays loaded.
        if not any(w.minimum.model == model and not w.served_by(record) for w in self._queue):
            self._idle.release(model)
        self._engines.stop(record, out, why)

    def _dismiss(
        self,
        record: EngineRecord,
        out: list[ev.Effect],
        why: Why | None = None,
        *,
        force: bool = False,
    ) -> None:
        """Let the engine serve no more requests, and end after those it has; with ``force`` now."""
        self._idle.release(record.variant.model)
        if record.useful:
            record.why = why
        if record.state is State.READY and record.busy and not force:
            self._engines.move(record, Event.DRAIN)
        elif record.useful or force:
            self._engines.stop(record, out, why)

    def _granted(self, waiting: Waiting, record: EngineRecord, now: float) -> None:
        record.unused = False
        record.use(now)
        if not waiting.auxiliary:
            record.needs.append(waiting.minimum)
            if len(record.needs) > self._policy.shrink_requests:
                record.needs.popleft()
            record.ahead = None
        if waiting.keep_alive is not None:
            self._idle.keep(record.variant.model, waiting.keep_alive)
        self._admission.grant(waiting, record, now)
