"""Who gets an engine, and which engine lives. Pure: events in, effects out.

Rules, in the order in which they are applied:

1.  Engines live side by side as far as ``Limits`` allow; by default one at a
    time. An engine starts only after the exit of those it cannot live beside.
2.  Requests have their turn in the order of their arrival; one that returns for
    another try keeps its turn. At most ``max_queue`` wait. Where
    ``max_switch_wait`` allows it, requests for engines that run are served
    before the engine makes room, clients are served in turn, and priorities
    count: see ``engine/queue.py``.
3.  A running engine serves every request of its model that fits its context,
    ``parallel`` of them at once. A request that no engine can serve claims
    those that must make room for it: they serve nobody after it, and end when
    all of them are free. A busy engine is never ended: see ``engine/turn.py``.
4.  A start is never wasted. One that nobody waits for any more goes on while no
    other is wanted: the engine is warm for the next request, and its idle time
    unloads it. When a request wants its room, but someone behind waits for this
    start, it goes on and serves that one before; only a request that returned
    from another try does not wait for it.
5.  A failed start is told to all who waited for it. Until its back-off is over
    the same answer is given at once; no failure is final. An engine that ran out of
    memory is tried once more, alone; then whoever waits for it moves to a smaller
    variant that would do: see ``engine/fallback.py``.
6.  An idle engine is unloaded after its idle time. Before that it is replaced
    by a smaller variant when the last ``shrink_requests`` requests would all
    have fit one and ``shrink_after`` seconds have passed without any. A request
    may set the idle time of its model (``keep_alive``): for as long as the model
    is loaded, in whatever variant, or until another sets it. Where asked for, a larger
    variant replaces it for a conversation that will need one: see ``engine/idle.py``.
7.  With another configuration, engines that are defined as before go on; others
    end as soon as their requests have, and so does who exceeds the limits. Who
    waits gets an engine of the new definition: see ``engine/renewal.py``. An
    unload takes the engines that live: what starts or is idle stops, a busy one
    drains first. Who waits goes on waiting, and may start one afresh.
8.  While draining, whoever waits is refused, and engines stop as soon as their
    requests have ended.

Time comes inside the events; nothing here reads a clock, awaits or logs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from engine import effects as fx
from engine.eviction import Limits
from engine.fallback import out_of_memory, pause_after, steps_down, tried_again
from engine.idle import end_of, larger_ahead, smaller_than
from engine.lifecycle import Event, State, advance
from engine.observer import Changed
from engine.policy import Policy
from engine.queue import Queue, Waiting
from engine.records import EngineRecord
from engine.renewal import beside, equivalent, gone, renewed, still_there, surplus
from engine.restart import delay_after, gives_up
from engine.turn import Deny, Serve, Start, Unload, Walk, fits_now
from utils.errors import EngineOutOfMemory, EngineStartFailed, GatewayError, QueueFull, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.spec import VariantSpec

__all__ = ["EngineRecord", "Limits", "Policy", "Scheduler"]
_CLOSING = "The gateway is shutting down."


@dataclass(frozen=True, slots=True)
class _Hold:
    """A request's hold on one run of an engine."""

    waiting: Waiting
    record: EngineRecord
    ticket: int
    since: float


class Scheduler:
    """Turns each event into effects. The only owner of engine states."""

    def __init__(
        self,
        variants: Iterable[VariantSpec],
        policy: Policy,
        limits: Limits | None = None,
        loads: Mapping[str, float] | None = None,
    ) -> None:
        self._policy = policy
        self._limits = limits or Limits()
        self._given = self._limits
        self._records = {
            (v.model, v.context): EngineRecord(v, takes=self._limits.takes(v)) for v in variants
        }
        self._loaded_before(loads or {})
        self._alive: dict[str, EngineRecord] = {}
        self._by_ticket: dict[int, EngineRecord] = {}
        # Engines that live, but are not configured any more, and where they listen.
        self._retired: dict[int, tuple[EngineRecord, str | None]] = {}
        self._queue = Queue(policy.max_switch_wait)
        self._holds: dict[int, _Hold] = {}
        self._successors: dict[str, EngineRecord] = {}
        self._keep_alive: dict[str, float] = {}
        self._moves: list[tuple[EngineRecord, State, State]] = []
        self._draining = False
        self._tickets = 0
        self._pace = 1.0

    # -- what others may see ---------------------------------------------------------

    @property
    def records(self) -> tuple[EngineRecord, ...]:
        """Every variant's record, as they are configured; then those of engines that are not."""
        return (*self._records.values(), *(record for record, _ in self._retired.values()))

    @property
    def waiting(self) -> tuple[int, ...]:
        """The requests in the queue, in the order of their arrival."""
        return tuple(waiting.request for waiting in self._queue)

    def line(self, now: float) -> list[Waiting]:
        """Those who wait, in the order in which they have their turn."""
        return self._queue.in_turn(now)

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def changes(self) -> list[Changed]:
        """The engines that changed since the last call, in order."""
        if not self._moves:
            return []
        moves, self._moves = self._moves, []
        return [
            Changed(r.ticket, r.variant, old, new, r.reason, r.load_seconds)
            for r, old, new in moves
        ]

    def live(self, model: str | None = None) -> EngineRecord | None:
        """The record of the model, or of any, whose process may exist, or None."""
        if model is not None:
            return self._alive.get(model)
        return next(iter(self._alive.values()), None)

    def upcoming(self, now: float) -> VariantSpec | None:
        """The variant that a request waits for and that has no room yet.

        None while another engine loads, which wants the disk for itself.
        """
        if any(record.state is State.STARTING for record in self._alive.values()):
            return None
        for waiting in self._queue.in_turn(now):
            live = self._alive.get(waiting.minimum.model)
            if live is None or not (live.useful and live.serves(waiting.minimum)):
                return waiting.minimum
        return None

    def latest(self, minimum: VariantSpec) -> EngineRecord | None:
        """The record of the engine that was started last of those that serve ``minimum``."""
        serving = [r for r in self._records.values() if r.ticket and r.serves(minimum)]
        return max(serving, key=lambda record: record.ticket, default=None)

    # -- events ----------------------------------------------------------------------

    def handle(self, event: fx.Event) -> list[fx.Effect]:
        """The effects of ``event``, to be performed in order. Stale tickets have none."""
        out: list[fx.Effect] = []
        match event:
            case fx.Arrived():
                self._arrived(event, out)
            case fx.Returned() | fx.Left():
                self._given_back(event, out)
            case fx.EngineReady() | fx.EngineUnhealthy() | fx.EngineMeasured() | fx.EngineExited():
                self._reported(event, out)
            case fx.Reconfigure():
                self._reconfigure(event, out)
            case fx.Unload():
                self._unload(event, out)
            case fx.Drain() | fx.Halt():
                self._drain(out, now=isinstance(event, fx.Halt))
        # All that a Tick is for; and whatever happened, it may be somebody's turn.
        self._dispatch(event.now, out)
        if isinstance(event, fx.Arrived):
            self._limit_queue(event.request, event.now, out)
        return out

    def _reported(self, event: fx.Report, out: list[fx.Effect]) -> None:
        match event:
            case fx.EngineReady():
                self._ready(event)
            case fx.EngineUnhealthy():
                self._unhealthy(event, out)
            case fx.EngineMeasured():
                self._measured(event)
            case fx.EngineExited():
                self._exited(event, out)

    def _arrived(self, event: fx.Arrived, out: list[fx.Effect]) -> None:
        if self._draining:
            out.append(fx.Refuse(event.request, ShuttingDown(_CLOSING)))
            return
        waiting = Waiting(event.request, event.minimum, event.now, event.client, event.priority)
        waiting.keep_alive, waiting.fallbacks = event.keep_alive, event.fallbacks
        if not self._renew(waiting, out):
            return
        while self._lacks_memory(waiting, event.now) and steps_down(waiting):
            pass
        self._queue.add(waiting)

    def _renew(self, waiting: Waiting, out: list[fx.Effect]) -> bool:
        # What it asks for may have been chosen before the configuration changed.
        model, context = waiting.minimum.model, waiting.minimum.context
        minimum = equivalent(self._records, model, context)
        if minimum is None:
            self._refuse(waiting.request, gone(self._records, model, context), out)
            return False
        waiting.minimum = minimum
        waiting.fallbacks = still_there(self._records, waiting.fallbacks)
        return True

    def _lacks_memory(self, waiting: Waiting, now: float) -> bool:
        record = self._records[waiting.minimum.model, waiting.minimum.context]
        return record.shortages > 0 and now < record.retry_at

    def _limit_queue(self, request: int, now: float, out: list[fx.Effect]) -> None:
        # Counted after dispatch: a request that is served at once never waited.
        others = len(self._queue) - 1
        if request in self._queue and others >= self._policy.max_queue:
            loading = [each for each in self._alive.values() if each.state is State.STARTING]
            # Known from its last start, if there was one.
            load = max([0.0, *(r.started_at + r.load_seconds - now for r in loading)])
            wait = min(60.0, max(1.0, load + self._pace * others))
            names = " and ".join(each.variant.label for each in loading)
            message = f"{others} requests are waiting already{names and f' while {names} loads'}."
            message += " Try again later."
            self._refuse(request, QueueFull(message, wait), out)

    def _given_back(self, event: fx.Returned | fx.Left, out: list[fx.Effect]) -> None:
        self._queue.drop(event.request)
        held = self._holds.pop(event.request, None)
        if held is not None:
            self._release(event.request, held, event.now, out)
        if isinstance(event, fx.Left):
            if held is not None and event.ahead is not None:
                # Harmless where the engine has ended since: a start forgets it.
                held.record.ahead = event.ahead.context
        else:
            waiting = held.waiting if held else Waiting(event.request, event.minimum, event.now)
            # Whoever asks for another engine than it had has learnt that less would not do.
            same = event.minimum.context == waiting.minimum.context
            fallbacks = waiting.fallbacks if same else ()
            waiting = replace(waiting, minimum=event.minimum, returned=True, fallbacks=fallbacks)
            self._queue.add(waiting)
            if self._draining:
                self._refuse(event.request, ShuttingDown(_CLOSING), out)
            else:
                self._renew(waiting, out)

    def _release(self, request: int, held: _Hold, now: float, out: list[fx.Effect]) -> None:
        # A moving average is enough for Retry-After, which is an estimate by nature.
        self._pace += 0.2 * ((now - held.since) - self._pace)
        record = held.record
        if record.ticket != held.ticket:
            return
        record.active.discard(request)
        record.idle_since = now
        if record.state is State.DRAINING and not record.active:
            self._move(record, Event.DRAINED)
            out.append(fx.StopEngine(record.ticket))

    def _ready(self, event: fx.EngineReady) -> None:
        record = self._by_ticket.get(event.engine)
        if record is None or record.state is not State.STARTING:
            return
        self._move(record, Event.HEALTHY)
        record.failures = 0
        record.reason = ""
        record.idle_since = record.ready_at = event.now
        record.load_seconds = event.now - record.started_at
        self._starved(record, "")

    def _unhealthy(self, event: fx.EngineUnhealthy, out: list[fx.Effect]) -> None:
        record = self._by_ticket.get(event.engine)
        if record is None or record.state not in (State.STARTING, State.READY, State.DRAINING):
            return
        if record.state is State.STARTING:
            self._starved(record, "")
            self._refuse_waiting_for(record, event.error, out)
        self._move(record, Event.UNHEALTHY)
        record.reason = event.error.message
        out.append(fx.StopEngine(record.ticket, planned=False))

    def _measured(self, event: fx.EngineMeasured) -> None:
        record = self._by_ticket.get(event.engine)
        if record is not None:
            record.memory = event.amounts
            self._limits = self._limits.learning(record.variant, event.amounts)
            record.takes = self._limits.takes(record.variant)

    def _starved(self, record: EngineRecord, lacked: str) -> None:
        record.shortages = record.shortages + 1 if lacked else 0
        record.lacked = lacked
        self._limits = self._limits.leaving_alone(record.variant, starved=bool(lacked))

    def _exited(self, event: fx.EngineExited, out: list[fx.Effect]) -> None:
        record = self._by_ticket.pop(event.engine, None)
        if record is None:
            return
        before = record.state
        record.ended_at = event.now
        if self._retired.pop(event.engine, None) is not None:
            self._forget_retired(record)
        self._move(record, Event.EXITED)
        record.active.clear()
        record.needs.clear()
        record.memory = {}
        if record.state is not State.BACKOFF:
            return
        if before is not State.ABORTING:
            record.reason = event.reason
        if before is State.STARTING:
            self._starved(record, event.out_of_memory)
            if tried_again(record):
                record.retry_at = event.now
                return
        record.failures += before in (State.STARTING, State.ABORTING)
        pause = pause_after(event.now - record.started_at) if record.shortages else 0.0
        record.retry_at = event.now + max(pause, delay_after(record.failures))
        if before is State.STARTING:
            self._refuse_waiting_for(record, self._start_failed(record, event.now), out)
        if gives_up(record.failures):
            self._move(record, Event.GIVE_UP)

    def _unload(self, event: fx.Unload, out: list[fx.Effect]) -> None:
        for record in self._alive.values():
            if event.model not in (None, record.variant.model):
                continue
            self._successors.pop(record.variant.model, None)
            if record.state is State.READY and record.active and not event.force:
                self._move(record, Event.DRAIN)
            elif event.force or record.useful:
                self._stop(record, out)

    def _drain(self, out: list[fx.Effect], *, now: bool) -> None:
        self._draining = True
        self._successors.clear()
        for request in self.waiting:
            self._refuse(request, ShuttingDown(_CLOSING), out)
        for record in self._alive.values():
            if now:
                self._stop(record, out)
            else:
                self._dismiss(record, out)

    def _reconfigure(self, event: fx.Reconfigure, out: list[fx.Effect]) -> None:
        if self._draining:
            return
        self._policy, self._given = event.policy, event.limits
        self._queue.max_wait = event.policy.max_switch_wait
        self._records = renewed(self._records, event.variants, event.kept)
        self._loaded_before(event.loads)
        for record in self._alive.values():
            if not self._configured(record) and record.ticket not in self._retired:
                address = self._limits.addresses.get(record.variant.label)
                self._retired[record.ticket] = record, address
        labels = event.kept | {record.variant.label for record, _ in self._retired.values()}
        self._limits = replace(
            event.limits,
            addresses=beside(self._retired.values(), event.limits.addresses),
            learnt={
                **event.limits.learnt,
                **{label: it for label, it in self._limits.learnt.items() if label in labels},
            },
            alone=self._limits.alone & event.kept,
        )
        for record in self._records.values():
            record.takes = self._limits.takes(record.variant)
        self._successors = {
            model: each for model, each in self._successors.items() if self._configured(each)
        }
        useful = [each for each in self._alive.values() if each.useful]
        configured = [each for each in useful if self._configured(each)]
        too_many = surplus(configured, self._limits)
        for record in useful:
            if record in too_many or record not in configured:
                self._dismiss(record, out)
        for waiting in self._queue:
            self._renew(waiting, out)

    def _loaded_before(self, loads: Mapping[str, float]) -> None:
        for record in self._records.values():
            record.load_seconds = record.load_seconds or loads.get(record.variant.label, 0.0)

    def _forget_retired(self, record: EngineRecord) -> None:
        """Where it listened, and what it took, says nothing of what has its label now."""
        label = record.variant.label
        learnt = {key: amounts for key, amounts in self._limits.learnt.items() if key != label}
        if label in self._given.learnt:
            learnt[label] = self._given.learnt[label]
        addresses = beside(self._retired.values(), self._given.addresses)
        self._limits = replace(self._limits, addresses=addresses, learnt=learnt)

    def _configured(self, record: EngineRecord) -> bool:
        return self._records.get((record.variant.model, record.variant.context)) is record

    # -- decisions -------------------------------------------------------------------

    def _dispatch(self, now: float, out: list[fx.Effect]) -> None:
        # An act may change what those before it can have: each walk starts at the head.
        while self._queue and (act := self._walk(now).act()) is not None:
            match act:
                case Serve():
                    self._grant(act.waiting, act.record, now, out)
                case Start():
                    self._start(act.record, now, out)
                case Unload():
                    for record in act.records:
                        self._stop(record, out, followed=self._outgrown(record))
                case _:
                    self._deny(act, now, out)
        self._rest(now, out)

    def _walk(self, now: float) -> Walk:
        residency = self._policy.min_residency
        return Walk(self._queue, self._records, self._alive, self._limits, residency, now)

    def _deny(self, act: Deny, now: float, out: list[fx.Effect]) -> None:
        if act.kept is None:
            error = self._start_failed(act.record, now)
        else:
            kept = ", ".join(variant.label for variant in act.kept)
            beside = f" beside {kept}" if kept else ""
            wanted = act.record.variant.label
            error = EngineStartFailed(f"There is no room for the engine {wanted}{beside}.")
        self._refuse_waiting_for(act.record, error, out)

    def _rest(self, now: float, out: list[fx.Effect]) -> None:
        """What is done for nobody: successors start, idle engines end or shrink."""
        for model in [model for model in self._successors if model not in self._alive]:
            successor = self._successors.pop(model)
            # Whoever waits for room comes first; a request can start it later.
            if (
                not self._queue
                and now >= successor.retry_at
                and fits_now(successor.variant, self._alive, self._limits)
            ):
                self._start(successor, now, out)
        wakes = [self._unload_or_shrink(each, now, out) for each in self._alive.values()]
        if when := [wake for wake in wakes if wake is not None]:
            out.append(fx.WakeAt(min(when)))

    def _unload_or_shrink(
        self, record: EngineRecord, now: float, out: list[fx.Effect]
    ) -> float | None:
        """When to look at the engine again, if only time can bring its end."""
        if record.state is not State.READY or record.active:
            return None
        after, requests = self._policy.shrink_after, self._policy.shrink_requests
        smaller = smaller_than(record, self._records, after=after, requests=requests)
        idle = self._keep_alive.get(record.variant.model, record.variant.timeouts.idle)
        end, successor = end_of(record, smaller, idle=idle, after=after, now=now)
        if now < end:
            successor = self._ahead_of(record, now)
            if successor is None:
                return end if end < inf else None
        self._stop(record, out, followed=successor is not None)
        if successor is not None:
            self._successors[record.variant.model] = successor
        return None

    def _ahead_of(self, record: EngineRecord, now: float) -> EngineRecord | None:
        larger = larger_ahead(record, self._records, now)
        if larger is None or self._queue:
            return None
        others = {model: each for model, each in self._alive.items() if each is not record}
        return larger if fits_now(larger.variant, others, self._limits) else None

    # -- acts ------------------------------------------------------------------------

    def _start(self, record: EngineRecord, now: float, out: list[fx.Effect]) -> None:
        self._move(record, Event.RETRY if record.state is State.BACKOFF else Event.START)
        self._successors.pop(record.variant.model, None)
        self._tickets += 1
        record.ticket = self._tickets
        record.used_at = record.started_at = now
        record.ahead = 0
        self._by_ticket[record.ticket] = record
        out.append(fx.StartEngine(record.ticket, record.variant))

    def _outgrown(self, record: EngineRecord) -> bool:
        """Whether a larger variant of its model is waited for."""
        model = record.variant.model
        return any(w.minimum.model == model and not record.serves(w.minimum) for w in self._queue)

    def _dismiss(self, record: EngineRecord, out: list[fx.Effect]) -> None:
        """It serves nobody any more, and ends when its requests have."""
        if record.state is State.READY and record.active:
            self._move(record, Event.DRAIN)
        elif record.useful:
            self._stop(record, out)

    def _stop(self, record: EngineRecord, out: list[fx.Effect], *, followed: bool = False) -> None:
        """It is told to end; ``followed`` by another variant, so that its model stays loaded."""
        if not followed:
            self._keep_alive.pop(record.variant.model, None)
        if record.state is not State.STOPPING:
            self._move(record, Event.STOP)
            out.append(fx.StopEngine(record.ticket))

    def _grant(
        self, waiting: Waiting, record: EngineRecord, now: float, out: list[fx.Effect]
    ) -> None:
        self._queue.served(waiting, now)
        record.active.add(waiting.request)
        record.ahead = 0
        record.needs.append(waiting.minimum.context)
        if len(record.needs) > self._policy.shrink_requests:
            record.needs.popleft()
        record.use(now)
        if waiting.keep_alive is not None:
            self._keep_alive[record.variant.model] = waiting.keep_alive
        self._holds[waiting.request] = _Hold(waiting, record, record.ticket, now)
        out.append(fx.Grant(waiting.request, record.ticket))

    def _refuse(self, request: int, error: GatewayError, out: list[fx.Effect]) -> None:
        self._queue.drop(request)
        out.append(fx.Refuse(request, error))

    def _refuse_waiting_for(
        self, record: EngineRecord, error: GatewayError, out: list[fx.Effect]
    ) -> None:
        # A request that asked for less may still be served by its own, smaller variant.
        for waiting in self._queue:
            if waiting.minimum == record.variant:
                smaller = isinstance(error, EngineOutOfMemory) and steps_down(waiting)
                if not smaller:
                    self._refuse(waiting.request, error, out)

    def _start_failed(self, record: EngineRecord, now: float) -> EngineStartFailed:
        left = max(0.0, record.retry_at - now)
        if record.shortages:
            return out_of_memory(record, left)
        message = f"The engine {record.variant.label} did not start: {record.reason}"
        return EngineStartFailed(message, left)

    def _move(self, record: EngineRecord, event: Event) -> None:
        before = record.state
        record.state = advance(record.variant.label, before, event)
        self._moves.append((record, before, record.state))
        model = record.variant.model
        if record.state.live:
            self._alive[model] = record
        elif self._alive.get(model) is record:
            del self._alive[model]
