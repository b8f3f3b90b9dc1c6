"""The scheduler in a world where engines become ready, fail and die, and clients leave, at random.

The world does what the effects say and keeps its own books, in the simplest form it can:
which processes exist, who waits, who was granted what. Every effect is checked against
them when it is performed, and the scheduler's own view after every event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from builders import TIMEOUTS, variant
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.scheduling import events as ev
from engine.scheduling.failures import delay_after
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy, Scheduler
from models.spec import Timeouts, VariantSpec
from utils.errors import EngineStartFailed, EngineStartTimeout, QueueFull, ShuttingDown

SHORT = Timeouts(health_check=5.0, startup=300.0, idle=40.0, stop=10.0)
VARIANTS = (
    variant(4096),
    variant(8192, parallel=2),
    variant(16384, parallel=3, timeouts=SHORT),
    variant(4096, "other", parallel=2),
    variant(8192, "other"),
)
variants = st.sampled_from(VARIANTS)
LONG_ENOUGH = 10_000.0


class Fate(Enum):
    """Where a request is; the last three are ends."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    SERVED = "served"
    GONE = "left while waiting"


@dataclass
class Process:
    """An engine's process, from StartEngine to the exit that the world reports."""

    ticket: int
    variant: VariantSpec
    ready: bool = False
    told_to_stop: bool = False
    # Reported as unhealthy; its exit is a failed start unless the gateway was closing.
    sick: bool = False
    failed: bool = False
    grants: int = 0

    @property
    def starting(self) -> bool:
        return not self.ready and not self.told_to_stop


@dataclass
class Request:
    number: int
    minimum: VariantSpec
    auxiliary: bool = False
    fate: Fate = Fate.WAITING
    engine: int | None = None
    history: list[Fate] = field(default_factory=list)

    def fits(self, running: VariantSpec) -> bool:
        large_enough = self.auxiliary or running.capacity >= self.minimum.capacity
        return running.model == self.minimum.model and large_enough

    def becomes(self, fate: Fate) -> None:
        self.history.append(fate)
        self.fate = fate


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.process: Process | None = None
        self.tickets: list[int] = []
        self.requests: dict[int, Request] = {}
        self.failures = {(v.model, v.capacity): 0 for v in VARIANTS}
        self.retry_at = dict.fromkeys(self.failures, 0.0)
        self.closed = False
        self.halted = False
        self.wake: float | None = None
        self.arriving: int | None = None
        self.timed_out = False
        self.idle_since = 0.0
        self.steps = 0
        self.open_for = 0

    @initialize(
        queue=st.integers(1, 6),
        shrink=st.sampled_from((0.0, 5.0, 60.0)),
        asked=st.integers(1, 3),
        open_for=st.integers(5, 150),
    )
    def begin(self, queue: int, shrink: float, asked: int, open_for: int) -> None:
        self.open_for = open_for
        self.policy = Policy(max_queue=queue, shrink_after=shrink, shrink_requests=asked)
        self.scheduler = Scheduler(VARIANTS, self.policy)

    # -- performing effects, each checked against the world's own books ----------------

    def tell(self, event: ev.Event) -> None:
        """Feed the event and perform its effects; IllegalTransition ends the test."""
        self.steps += 1
        for effect in self.scheduler.handle(event):
            match effect:
                case ev.StartEngine():
                    self._start(effect)
                case ev.StopEngine():
                    self._stop(effect)
                case ev.Grant():
                    self._grant(effect)
                case ev.Refuse():
                    self._refuse(effect)
                case ev.WakeAt():
                    assert effect.when > self.now, "it would wake up at once, again and again"
                    self.wake = effect.when
        if self.arriving in self.waiting():
            assert len(self.waiting()) <= self.policy.max_queue
        self.arriving = None
        self._answer_to_the_head()

    def _answer_to_the_head(self) -> None:
        """Rule 5: no request is first in the queue for an engine that may not start yet."""
        if not self.waiting():
            return
        head = self.requests[self.waiting()[0]].minimum
        process = self.living()
        fits = self.requests[self.waiting()[0]].fits(process.variant)
        if process.told_to_stop or not fits:
            assert self.now >= self.retry_at[_key(head)]

    def _start(self, effect: ev.StartEngine) -> None:
        assert self.process is None, "another process lives"
        assert not self.closed
        assert effect.engine not in self.tickets
        assert self.now >= self.retry_at[_key(effect.variant)], "it backs off"
        self.tickets.append(effect.engine)
        self.process = Process(effect.engine, effect.variant)

    def _stop(self, effect: ev.StopEngine) -> None:
        process = self.process
        assert process is not None
        assert effect.engine == process.ticket
        assert not process.told_to_stop or (self.halted and process.sick)
        assert not self.holders() or process.sick or self.halted, "somebody is being served"
        process.told_to_stop = True

    def _grant(self, effect: ev.Grant) -> None:
        process = self.process
        request = self.requests[effect.request]
        assert process is not None
        assert effect.engine == process.ticket
        assert process.ready
        assert not process.told_to_stop
        assert request.fits(process.variant)
        if request.auxiliary:
            request.becomes(Fate.GRANTED)
            request.engine = effect.engine
            return
        # Rule 2: no request overtakes another, whatever engine either needs. Rule 4 lets the
        # first that waited for a start come before requests that this engine cannot serve.
        before = [self.requests[number] for number in self.waiting() if number < request.number]
        if process.grants:
            assert not before, "another request came before"
        fitting = [earlier for earlier in before if earlier.fits(process.variant)]
        assert not fitting, "a request that this engine serves came before"
        assert not any(Fate.GRANTED in earlier.history for earlier in before[:1]), "it came back"
        process.grants += 1
        request.becomes(Fate.GRANTED)
        request.engine = effect.engine
        assert len(self.holders(auxiliary=False)) <= process.variant.parallel

    def _refuse(self, effect: ev.Refuse) -> None:
        request = self.requests[effect.request]
        assert request.fate is Fate.WAITING
        match effect.error:
            case QueueFull():
                assert request.number == self.arriving
                assert len(self.waiting()) > self.policy.max_queue
            case ShuttingDown():
                assert self.closed
            case EngineStartTimeout():
                assert self.timed_out
                assert self.process is not None
                assert request.minimum == self.process.variant
            case EngineStartFailed():
                assert self.failures[_key(request.minimum)] > 0
            case _:
                raise AssertionError(effect.error)
        request.becomes(Fate.REFUSED)

    def waiting(self) -> list[int]:
        return [r.number for r in self.requests.values() if r.fate is Fate.WAITING]

    def granted(self) -> list[Request]:
        return [r for r in self.requests.values() if r.fate is Fate.GRANTED]

    def holders(self, *, auxiliary: bool | None = None) -> set[int]:
        """Return the requests that hold the live engine; others hold one that has ended."""
        ticket = self.process.ticket if self.process else None
        return {
            r.number
            for r in self.granted()
            if r.engine == ticket and auxiliary in (None, r.auxiliary)
        }

    # -- what may happen -----------------------------------------------------------------

    @rule(minimum=variants, auxiliary=st.sampled_from((False, False, True)))
    def a_request_arrives(self, minimum: VariantSpec, *, auxiliary: bool) -> None:
        number = len(self.requests) + 1
        self.requests[number] = Request(number, minimum, auxiliary)
        self.arriving = number
        self.tell(ev.Arrived(number, minimum, self.now, auxiliary=auxiliary))

    @rule(wanted=st.lists(variants, min_size=2, max_size=4))
    def requests_arrive_together(self, wanted: list[VariantSpec]) -> None:
        for minimum in wanted:
            self.a_request_arrives(minimum, auxiliary=False)

    @precondition(lambda self: any(r.fate in (Fate.WAITING, Fate.GRANTED) for r in self.all()))
    @rule(data=st.data())
    def a_request_leaves(self, data: st.DataObject) -> None:
        here = [r for r in self.all() if r.fate in (Fate.WAITING, Fate.GRANTED)]
        self.leave(data.draw(st.sampled_from(here), label="who"))

    @precondition(lambda self: self.granted())
    @rule(data=st.data(), minimum=st.none() | variants)
    def a_request_returns(self, data: st.DataObject, minimum: VariantSpec | None) -> None:
        request = data.draw(st.sampled_from(self.granted()), label="who")
        self._gives_back(request)
        request.minimum = minimum or request.minimum
        request.becomes(Fate.WAITING)
        self.tell(ev.Returned(request.number, request.minimum, self.now))

    @precondition(lambda self: self.process is not None and self.process.starting)
    @rule()
    def the_engine_becomes_ready(self) -> None:
        process = self.living()
        process.ready = True
        self.failures[_key(process.variant)] = 0
        self.idle_since = self.now
        self.tell(ev.EngineReady(process.ticket, self.now))

    @precondition(lambda self: self.process is not None and not self.process.starting)
    @rule()
    def the_engine_is_ready_too_late_or_twice(self) -> None:
        before = self.picture()
        self.tell(ev.EngineReady(self.living().ticket, self.now))
        assert self.picture() == before

    @precondition(lambda self: self.process is not None and not self.process.told_to_stop)
    @rule(luck=st.integers(0, 2))
    def the_engine_is_unhealthy(self, luck: int) -> None:
        if luck:
            return
        process = self.living()
        # Only at its start do others wait for it, and are told.
        self.timed_out = process.starting
        process.sick = True
        process.failed = not self.closed
        error = EngineStartTimeout("too slow")
        self.tell(ev.EngineUnhealthy(process.ticket, error, self.now))
        self.timed_out = False
        assert process.told_to_stop

    @precondition(lambda self: self.process is not None and not self.process.told_to_stop)
    @rule(luck=st.integers(0, 2))
    def the_engine_falls_over(self, luck: int) -> None:
        if not luck:
            self.the_engine_exits()

    @precondition(lambda self: self.process is not None and self.process.told_to_stop)
    @rule()
    def the_engine_exits(self) -> None:
        process = self.living()
        failures = self.failures
        if not process.told_to_stop:
            process.failed = process.starting
        if process.failed:
            failures[_key(process.variant)] += 1
        if process.failed or not (process.told_to_stop or self.closed):
            delay = delay_after(failures[_key(process.variant)])
            self.retry_at[_key(process.variant)] = self.now + delay
        told = [r for r in self.all() if r.fate is Fate.WAITING and r.minimum == process.variant]
        self.process = None
        self.tell(ev.EngineExited(process.ticket, "it fell over", self.now))
        if process.starting:
            assert {request.fate for request in told} <= {Fate.REFUSED}

    @rule(seconds=st.sampled_from((0.5, 3.0, 30.0, 400.0)))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule()
    def the_queue_is_worked_off(self) -> None:
        self._settle()

    @rule()
    def a_tick_too_many(self) -> None:
        self.tell(ev.Tick(self.now))

    @rule(data=st.data(), late=st.sampled_from((ev.EngineReady, ev.EngineExited)))
    def a_late_report(self, data: st.DataObject, late: type[ev.EngineReady]) -> None:
        alive = self.process.ticket if self.process else None
        gone = [ticket for ticket in self.tickets if ticket != alive]
        ticket = data.draw(st.sampled_from(gone), label="ticket") if gone else 999
        event: ev.Event = (
            ev.EngineReady(ticket, self.now)
            if late is ev.EngineReady
            else ev.EngineExited(ticket, "late", self.now)
        )
        before = self.picture()
        self.tell(event)
        assert self.picture() == before

    @rule()
    def a_request_leaves_twice(self) -> None:
        ended = [r for r in self.all() if r.fate in (Fate.REFUSED, Fate.SERVED, Fate.GONE)]
        before = self.picture()
        self.tell(ev.Left(ended[-1].number if ended else 999, self.now))
        assert self.picture() == before

    @precondition(lambda self: self.steps > self.open_for)
    @rule()
    def the_gateway_drains(self) -> None:
        self.closed = True
        self.tell(ev.Drain(self.now))

    @precondition(lambda self: self.steps > self.open_for)
    @rule()
    def the_gateway_halts(self) -> None:
        self.closed = self.halted = True
        if self.process is not None:
            self.process.failed = False
        self.tell(ev.Halt(self.now))
        assert self.process is None or self.process.told_to_stop

    # -- how they happen -----------------------------------------------------------------

    def all(self) -> list[Request]:
        return list(self.requests.values())

    def living(self) -> Process:
        assert self.process is not None
        return self.process

    def _gives_back(self, request: Request) -> None:
        if request.number in self.holders():
            self.idle_since = self.now
        request.engine = None

    def leave(self, request: Request) -> None:
        self._gives_back(request)
        request.becomes(Fate.GONE if request.fate is Fate.WAITING else Fate.SERVED)
        self.tell(ev.Left(request.number, self.now))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.wake is not None and self.wake <= end:
            self.now, self.wake = self.wake, None
            self.tell(ev.Tick(self.now))
        self.now = end

    def picture(self) -> list[Any]:
        records = [
            (
                r.state,
                r.ticket,
                sorted(r.active),
                sorted(r.auxiliary),
                r.idle_since,
                r.failures,
                r.retry_at,
                [each.label for each in r.needs],
            )
            for r in self.scheduler.records
        ]
        return [records, self.scheduler.waiting, self.process]

    # -- what is always true ---------------------------------------------------------------

    @invariant()
    def at_most_one_engine_lives(self) -> None:
        live = [r for r in self.scheduler.records if r.state.live]
        assert len(live) <= 1
        assert bool(live) is (self.process is not None)
        if live and self.process:
            assert live[0].variant is self.process.variant
            assert live[0].ticket == self.process.ticket

    @invariant()
    def both_books_agree_on_who_waits_and_who_is_served(self) -> None:
        assert list(self.scheduler.waiting) == self.waiting()
        for record in self.scheduler.records:
            live = record.state.live
            assert record.active == (self.holders(auxiliary=False) if live else set())
            assert record.auxiliary == (self.holders(auxiliary=True) if live else set())
            assert len(record.active) <= record.variant.parallel
            assert record.failures == self.failures[_key(record.variant)]

    @invariant()
    def every_request_has_one_end_at_most(self) -> None:
        for request in self.all():
            ends = [f for f in request.history if f in (Fate.REFUSED, Fate.SERVED, Fate.GONE)]
            assert len(ends) <= 1
            assert request.history[-1:] == ends or not ends

    @invariant()
    def who_waits_waits_for_something_that_will_happen(self) -> None:
        if not self.waiting():
            return
        assert not self.closed
        record = self.scheduler.live()
        assert record is not None, "nobody starts an engine"
        assert record.state is not State.READY or record.busy, "an idle engine, and a queue"

    @invariant()
    def an_idle_engine_is_looked_after(self) -> None:
        record = self.scheduler.live()
        if record is None or record.state is not State.READY or record.busy:
            return
        assert not self.closed
        assert self.wake is not None
        assert record.idle_since == self.idle_since
        assert self.now < self.wake <= self.idle_since + record.variant.timeouts.idle

    @invariant()
    def a_closed_gateway_keeps_no_idle_engine(self) -> None:
        record = self.scheduler.live()
        if self.closed and record is not None:
            assert record.busy or self.living().told_to_stop
            assert not self.halted or self.living().told_to_stop

    # -- how it ends -------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        if self.process is not None and self.process.sick:
            self.the_engine_exits()
        # The longest back-off ends; from here on every start succeeds.
        self.now += LONG_ENOUGH
        self.tell(ev.Tick(self.now))
        hoped = self.waiting()
        self._settle()
        assert not self.waiting()
        assert not self.granted()
        for number in hoped:
            assert self.requests[number].history[-2:] == [Fate.GRANTED, Fate.SERVED]
        self.pass_time(LONG_ENOUGH)
        self._settle()
        self.pass_time(LONG_ENOUGH)
        self._settle()
        assert self.process is None, "an engine that nobody uses is never unloaded"

    def _settle(self) -> None:
        """Let all due events happen, until none is left."""
        for _ in range(10 * len(self.requests) + 10):
            if self.process is not None and self.process.told_to_stop:
                self.the_engine_exits()
            elif self.process is not None and self.process.starting:
                self.the_engine_becomes_ready()
            elif self.granted():
                self.leave(self.granted()[0])
            else:
                return
        raise AssertionError("the world does not come to rest")


def _key(spec: VariantSpec) -> tuple[str, int]:
    return spec.model, spec.capacity


World.TestCase.settings = settings(stateful_step_count=50)


TestWorld = World.TestCase


def test_the_world_uses_ordinary_timeouts_too() -> None:
    assert {v.timeouts for v in VARIANTS} == {TIMEOUTS, SHORT}
