"""Who gets an engine, and which engine lives. Pure: events in, effects out.

Rules, in the order in which they are applied:

1.  Engines live side by side as far as ``Limits`` allow; by default one at a
    time. An engine starts only after the exit of those it cannot live beside.
2.  Requests have their turn in the order of their arrival; one that returns for
    another try keeps its turn. At most ``max_queue`` wait.
3.  A running engine serves every request of its model that fits its context,
    ``parallel`` of them at once. A request that no engine can serve claims
    those that must make room for it: they serve nobody after it, and end when
    all of them are free. A busy engine is never ended, nor one that somebody
    before it waits for. Who finds no room beside engines that are kept is told.
4.  A start is never wasted. One that nobody waits for any more goes on while no
    other is wanted: the engine is warm for the next request, and its idle time
    unloads it. When a request wants its room, but someone behind waits for this
    start, it goes on and serves that one before; only a request that returned
    from another try does not wait for it.
5.  A failed start is told to all who waited for it. Until its back-off is over
    the same answer is given at once; no failure is final.
6.  An idle engine is unloaded after its idle time. Before that it is replaced
    by a smaller variant when the last ``shrink_requests`` requests would all
    have fit one and ``shrink_after`` seconds have passed without any.
7.  While draining, whoever waits is refused, and engines stop as soon as their
    requests have ended.

Time comes inside the events; nothing here reads a clock, awaits or logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import effects as fx
from engine.eviction import Limits, room
from engine.lifecycle import Event, State, advance
from engine.records import EngineRecord
from engine.restart import delay_after, gives_up
from utils.errors import EngineStartFailed, GatewayError, QueueFull, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.spec import VariantSpec

__all__ = ["EngineRecord", "Limits", "Policy", "Scheduler"]
_CLOSING = "The gateway is shutting down."


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers behind the rules; times in seconds."""

    max_queue: int = 64
    shrink_after: float = 300.0
    shrink_requests: int = 4


class Scheduler:
    """Turns each event into effects. The only owner of engine states."""

    def __init__(
        self, variants: Iterable[VariantSpec], policy: Policy, limits: Limits | None = None
    ) -> None:
        self._policy = policy
        self._limits = limits or Limits()
        self._records = {(v.model, v.context): EngineRecord(v) for v in variants}
        self._alive: dict[str, EngineRecord] = {}
        self._by_ticket: dict[int, EngineRecord] = {}
        self._queue: dict[int, VariantSpec] = {}
        self._returned: set[int] = set()
        self._holds: dict[int, tuple[EngineRecord, int]] = {}
        self._successors: dict[str, EngineRecord] = {}
        self._draining = False
        self._tickets = 0
        self._pace = 1.0
        self._granted_at: dict[int, float] = {}

    # -- what others may see ---------------------------------------------------------

    @property
    def records(self) -> tuple[EngineRecord, ...]:
        """Every variant's record, in the order of the configuration."""
        return tuple(self._records.values())

    @property
    def waiting(self) -> tuple[int, ...]:
        """The requests in the queue, the next one first."""
        return tuple(self._queue)

    def live(self, model: str | None = None) -> EngineRecord | None:
        """The record of the model, or of any, whose process may exist, or None."""
        if model is not None:
            return self._alive.get(model)
        return next(iter(self._alive.values()), None)

    # -- events ----------------------------------------------------------------------

    def handle(self, event: fx.Event) -> list[fx.Effect]:
        """The effects of ``event``, to be performed in order. Stale tickets have none."""
        out: list[fx.Effect] = []
        match event:
            case fx.Arrived():
                self._arrived(event, out)
            case fx.Returned() | fx.Left():
                self._given_back(event, out)
            case fx.EngineReady():
                self._ready(event)
            case fx.EngineUnhealthy():
                self._unhealthy(event, out)
            case fx.EngineExited():
                self._exited(event, out)
            case fx.Drain() | fx.Halt():
                self._drain(out, now=isinstance(event, fx.Halt))
        # All that a Tick is for; and whatever happened, it may be somebody's turn.
        self._dispatch(event.now, out)
        if isinstance(event, fx.Arrived):
            self._limit_queue(event.request, out)
        return out

    def _arrived(self, event: fx.Arrived, out: list[fx.Effect]) -> None:
        if self._draining:
            out.append(fx.Refuse(event.request, ShuttingDown(_CLOSING)))
            return
        self._queue[event.request] = event.minimum

    def _limit_queue(self, request: int, out: list[fx.Effect]) -> None:
        # Counted after dispatch: a request that is served at once never waited.
        others = len(self._queue) - 1
        if request in self._queue and others >= self._policy.max_queue:
            wait = min(60.0, max(1.0, self._pace * others))
            message = f"{others} requests are waiting already. Try again later."
            self._refuse(request, QueueFull(message, wait), out)

    def _given_back(self, event: fx.Returned | fx.Left, out: list[fx.Effect]) -> None:
        self._queue.pop(event.request, None)
        self._returned.discard(event.request)
        self._release(event.request, event.now, out)
        if isinstance(event, fx.Returned):
            # Numbers grow with arrival, and several may return in any order.
            self._returned.add(event.request)
            self._queue[event.request] = event.minimum
            self._queue = {request: self._queue[request] for request in sorted(self._queue)}
            if self._draining:
                self._refuse(event.request, ShuttingDown(_CLOSING), out)

    def _release(self, request: int, now: float, out: list[fx.Effect]) -> None:
        held = self._holds.pop(request, None)
        if held is None:
            return
        record, ticket = held
        # A moving average is enough for Retry-After, which is an estimate by nature.
        self._pace += 0.2 * ((now - self._granted_at.pop(request)) - self._pace)
        if record.ticket != ticket:
            return
        record.active.discard(request)
        record.idle_since = record.used_at = now
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
        record.idle_since = event.now

    def _unhealthy(self, event: fx.EngineUnhealthy, out: list[fx.Effect]) -> None:
        record = self._by_ticket.get(event.engine)
        if record is None or record.state not in (State.STARTING, State.READY, State.DRAINING):
            return
        if record.state is State.STARTING:
            self._refuse_waiting_for(record, event.error, out)
        self._move(record, Event.UNHEALTHY)
        record.reason = event.error.message
        out.append(fx.StopEngine(record.ticket))

    def _exited(self, event: fx.EngineExited, out: list[fx.Effect]) -> None:
        record = self._by_ticket.pop(event.engine, None)
        if record is None:
            return
        before = record.state
        self._move(record, Event.EXITED)
        record.active.clear()
        record.needs.clear()
        if record.state is not State.BACKOFF:
            return
        if before is not State.ABORTING:
            record.reason = event.reason
        record.failures += before in (State.STARTING, State.ABORTING)
        record.retry_at = event.now + delay_after(record.failures)
        if before is State.STARTING:
            self._refuse_waiting_for(record, self._start_failed(record, event.now), out)
        if gives_up(record.failures):
            self._move(record, Event.GIVE_UP)

    def _drain(self, out: list[fx.Effect], *, now: bool) -> None:
        self._draining = True
        self._successors.clear()
        for request in list(self._queue):
            self._refuse(request, ShuttingDown(_CLOSING), out)
        for record in self._alive.values():
            if record.state is State.READY and record.active and not now:
                self._move(record, Event.DRAIN)
            elif now or record.useful:
                self._stop(record, out)

    # -- decisions -------------------------------------------------------------------

    def _dispatch(self, now: float, out: list[fx.Effect]) -> None:
        # An act may change what those before it can have: the queue is walked from its head.
        while self._act(now, out):
            pass
        self._rest(now, out)

    def _act(self, now: float, out: list[fx.Effect]) -> bool:
        """Walk along the queue until something can be done for a request; whether it was."""
        awaited: list[EngineRecord] = []
        claimed: list[EngineRecord] = []
        planned: list[VariantSpec] = []
        for request, minimum in self._queue.items():
            record = self._alive.get(minimum.model)
            if record is not None and record.useful and record.serves(minimum):
                free = record.state is State.READY and len(record.active) < record.variant.parallel
                if record not in claimed and free:
                    self._grant(request, minimum, record, now, out)
                    return True
                awaited.append(record)
                continue
            own = self._records[minimum.model, minimum.context]
            rest = [each for each in self._alive.values() if each.useful and each not in claimed]
            may_go = [r for r in rest if r not in awaited and not self._owed(r, request)]
            stay = [each.variant for each in rest if each not in may_go]
            victims = room(minimum, [*stay, *planned], may_go, self._limits)
            if victims is None and self._never_fits(minimum):
                self._refuse_waiting_for(own, self._no_room(minimum), out)
                return True
            if victims is None:
                continue
            if now < own.retry_at:
                # Refused before room is made: no engine ends for one that may not start.
                self._refuse_waiting_for(own, self._start_failed(own, now), out)
                return True
            if victims and not any(victim.active for victim in victims):
                for victim in victims:
                    self._stop(victim, out)
                return True
            if not victims and self._fits_now(minimum):
                self._start(own, now, out)
                return True
            claimed += victims
            planned.append(minimum)
        return False

    def _owed(self, record: EngineRecord, request: int) -> bool:
        """Whether somebody waits for this fresh engine, whom ``request`` may not deprive of it."""
        if record.needs or request in self._returned:
            return False
        return any(record.serves(minimum) for minimum in self._queue.values())

    def _never_fits(self, wanted: VariantSpec) -> bool:
        """Whether those in its way would stay although everybody left them."""
        useful = [record for record in self._alive.values() if record.useful]
        return room(wanted, (), useful, self._limits) is None

    def _fits_now(self, wanted: VariantSpec) -> bool:
        """Whether it can start beside every process that there may be, also those that end."""
        alive = [record.variant for record in self._alive.values()]
        return room(wanted, alive, (), self._limits) is not None

    def _rest(self, now: float, out: list[fx.Effect]) -> None:
        """What is done for nobody: successors start, idle engines end or shrink."""
        for model in [model for model in self._successors if model not in self._alive]:
            successor = self._successors.pop(model)
            # Whoever waits for room comes first; a request can start it later.
            if not self._queue and now >= successor.retry_at and self._fits_now(successor.variant):
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
        idle_at = record.idle_since + record.variant.timeouts.idle
        smaller = self._smaller_than(record)
        shrink_at = record.idle_since + self._policy.shrink_after
        if smaller is not None:
            shrink_at = max(shrink_at, smaller.retry_at)
        if now >= idle_at:
            self._stop(record, out)
            return None
        if smaller is None or shrink_at >= idle_at:
            return idle_at
        if now < shrink_at:
            return shrink_at
        self._stop(record, out)
        self._successors[record.variant.model] = smaller
        return None

    def _smaller_than(self, record: EngineRecord) -> EngineRecord | None:
        asked = self._policy.shrink_requests
        if self._policy.shrink_after <= 0 or len(record.needs) < asked:
            return None
        wanted = max(list(record.needs)[-asked:])
        if wanted >= record.variant.context:
            return None
        return self._records[record.variant.model, wanted]

    # -- acts ------------------------------------------------------------------------

    def _start(self, record: EngineRecord, now: float, out: list[fx.Effect]) -> None:
        self._move(record, Event.RETRY if record.state is State.BACKOFF else Event.START)
        self._successors.pop(record.variant.model, None)
        self._tickets += 1
        record.ticket = self._tickets
        record.used_at = now
        self._by_ticket[record.ticket] = record
        out.append(fx.StartEngine(record.ticket, record.variant))

    def _stop(self, record: EngineRecord, out: list[fx.Effect]) -> None:
        if record.state is not State.STOPPING:
            self._move(record, Event.STOP)
            out.append(fx.StopEngine(record.ticket))

    def _grant(
        self,
        request: int,
        minimum: VariantSpec,
        record: EngineRecord,
        now: float,
        out: list[fx.Effect],
    ) -> None:
        del self._queue[request]
        record.active.add(request)
        record.needs.append(minimum.context)
        if len(record.needs) > self._policy.shrink_requests:
            record.needs.popleft()
        record.used_at = now
        self._holds[request] = (record, record.ticket)
        self._granted_at[request] = now
        out.append(fx.Grant(request, record.ticket))

    def _refuse(self, request: int, error: GatewayError, out: list[fx.Effect]) -> None:
        del self._queue[request]
        out.append(fx.Refuse(request, error))

    def _refuse_waiting_for(
        self, record: EngineRecord, error: GatewayError, out: list[fx.Effect]
    ) -> None:
        # A request that asked for less may still be served by its own, smaller variant.
        for request, minimum in list(self._queue.items()):
            if minimum == record.variant:
                self._refuse(request, error, out)

    def _start_failed(self, record: EngineRecord, now: float) -> EngineStartFailed:
        left = max(0.0, record.retry_at - now)
        message = f"The engine {record.variant.label} did not start: {record.reason}"
        return EngineStartFailed(message, left)

    def _no_room(self, wanted: VariantSpec) -> EngineStartFailed:
        living = [record.variant for record in self._alive.values()]
        kept = ", ".join(one.label for one in living if self._limits.keeps(one, wanted))
        return EngineStartFailed(f"There is no room for the engine {wanted.label} beside {kept}.")

    def _move(self, record: EngineRecord, event: Event) -> None:
        record.state = advance(record.variant.label, record.state, event)
        model = record.variant.model
        if record.state.live:
            self._alive[model] = record
        elif self._alive.get(model) is record:
            del self._alive[model]
