"""Several engines, of which any may hang, crash or be late at any time.

The world does what the effects say and keeps its own books. It asks for no order of service,
which other tests look at, but that no limit is broken, nobody is served by an engine that is
told to end, and everybody has an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders import variant
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.scheduling import events as ev
from engine.scheduling.failures import delay_after
from engine.scheduling.lifecycle import State
from engine.scheduling.queue import Priority
from engine.scheduling.scheduler import Limits, Policy, Scheduler
from utils.errors import EngineStartFailed, EngineUnresponsive, ShuttingDown

if TYPE_CHECKING:
    from models.spec import VariantSpec

VARIANTS = (
    variant(4096, "a", parallel=2, needs={"gpu": 4}),
    variant(8192, "a", needs={"gpu": 6}),
    variant(4096, "b", needs={"gpu": 3}),
    variant(4096, "c", parallel=3, needs={"gpu": 5}),
    variant(4096, "d"),
)
RESOURCES = {"gpu": 10}
PLACES = (
    Limits(1, resources=RESOURCES),
    Limits(2, resources=RESOURCES),
    Limits(4, resources=RESOURCES),
    Limits(3, groups={"a": "g", "b": "g", "c": "h"}, resources=RESOURCES),
)
variants = st.sampled_from(VARIANTS)
LONG_ENOUGH = 10_000.0


@dataclass
class Process:
    """An engine's process, from StartEngine to the exit that the world reports."""

    ticket: int
    variant: VariantSpec
    ready: bool = False
    told_to_stop: bool = False
    sick: bool = False
    # Its end counts as a failed start.
    failed: bool = False

    @property
    def starting(self) -> bool:
        return not self.ready and not self.told_to_stop


@dataclass
class Request:
    number: int
    minimum: VariantSpec
    waits: bool = True
    engine: int | None = None
    ended: bool = False


class ManyWorld(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.processes: dict[int, Process] = {}
        self.tickets: set[int] = set()
        self.requests: dict[int, Request] = {}
        self.failures = dict.fromkeys(map(_key, VARIANTS), 0)
        self.retry_at = dict.fromkeys(self.failures, 0.0)
        self.closed = self.halted = False
        self.wake: float | None = None

    @initialize(
        limits=st.sampled_from(PLACES),
        wait=st.sampled_from((0.0, 20.0)),
        residency=st.sampled_from((0.0, 5.0)),
    )
    def begin(self, limits: Limits, wait: float, residency: float) -> None:
        self.limits = limits
        policy = Policy(1000, 60.0, 2, wait, residency)
        self.scheduler = Scheduler(VARIANTS, policy, limits)

    # -- performing effects ------------------------------------------------------------

    def tell(self, event: ev.Event) -> None:
        for effect in self.scheduler.handle(event):
            match effect:
                case ev.StartEngine():
                    self._start(effect)
                case ev.StopEngine():
                    self._stop(self.processes[effect.engine])
                case ev.Grant():
                    self._grant(self.requests[effect.request], self.processes[effect.engine])
                case ev.Refuse():
                    self._refuse(self.requests[effect.request], effect.error)
                case ev.WakeAt():
                    assert effect.when > self.now
                    self.wake = effect.when

    def _start(self, effect: ev.StartEngine) -> None:
        assert not self.closed
        assert effect.engine not in self.tickets
        assert self.now >= self.retry_at[_key(effect.variant)], "it backs off"
        living = [process.variant for process in self.processes.values()]
        assert not any(self.limits.conflict(effect.variant, other) for other in living)
        assert len(living) < self.limits.max_loaded
        assert not self.limits.lacking(effect.variant, living)
        self.tickets.add(effect.engine)
        self.processes[effect.engine] = Process(effect.engine, effect.variant)

    def _stop(self, process: Process) -> None:
        assert not process.told_to_stop or (self.halted and process.sick)
        assert not self.holders(process) or process.sick or self.halted, "it serves somebody"
        process.told_to_stop = True

    def _grant(self, request: Request, process: Process) -> None:
        assert request.waits
        assert process.ready
        assert not process.told_to_stop
        assert not process.sick, "an engine that hangs is granted"
        assert process.variant.model == request.minimum.model
        assert process.variant.capacity >= request.minimum.capacity
        request.waits, request.engine = False, process.ticket
        assert len(self.holders(process)) <= process.variant.parallel

    def _refuse(self, request: Request, error: Exception) -> None:
        assert request.waits
        if isinstance(error, ShuttingDown):
            assert self.closed
        elif not isinstance(error, EngineUnresponsive):
            assert isinstance(error, EngineStartFailed)
            assert self.failures[_key(request.minimum)]
        request.waits, request.ended = False, True

    def holders(self, process: Process) -> list[int]:
        return [r.number for r in self.requests.values() if r.engine == process.ticket]

    def waiting(self) -> list[int]:
        return [r.number for r in self.requests.values() if r.waits]

    def granted(self) -> list[Request]:
        return [r for r in self.requests.values() if r.engine is not None]

    # -- what may happen ---------------------------------------------------------------

    @rule(
        wanted=st.lists(variants, min_size=1, max_size=4),
        client=st.sampled_from("xy"),
        priority=st.sampled_from(Priority),
        keep_alive=st.sampled_from((None, None, 0.0, 50.0, float("inf"))),
    )
    def requests_arrive(
        self, wanted: list[VariantSpec], client: str, priority: Priority, keep_alive: float | None
    ) -> None:
        for minimum in wanted:
            number = len(self.requests) + 1
            self.requests[number] = Request(number, minimum)
            self.tell(
                ev.Arrived(
                    number,
                    minimum,
                    client=client,
                    priority=priority,
                    keep_alive=keep_alive,
                    now=self.now,
                )
            )

    @precondition(lambda self: self.waiting() or self.granted())
    @rule(data=st.data())
    def a_request_leaves(self, data: st.DataObject) -> None:
        here = [*self.waiting(), *(request.number for request in self.granted())]
        self.leave(self.requests[data.draw(st.sampled_from(here))])

    @precondition(lambda self: self.granted())
    @rule(data=st.data())
    def a_request_returns(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.granted()))
        request.engine, request.waits = None, True
        self.tell(ev.Returned(request.number, request.minimum, self.now))

    @precondition(lambda self: any(p.starting for p in self.processes.values()))
    @rule(data=st.data())
    def an_engine_becomes_ready(self, data: st.DataObject) -> None:
        starting = [p for p in self.processes.values() if p.starting]
        self.become_ready(data.draw(st.sampled_from(starting)))

    @precondition(lambda self: any(not p.told_to_stop for p in self.processes.values()))
    @rule(data=st.data())
    def an_engine_hangs(self, data: st.DataObject) -> None:
        well = [p for p in self.processes.values() if not p.told_to_stop]
        process = data.draw(st.sampled_from(well))
        process.sick, process.failed = True, not self.closed
        before = self.holders(process)
        self.tell(ev.EngineUnhealthy(process.ticket, EngineUnresponsive("hangs"), self.now))
        assert process.told_to_stop
        # They are told by their connections, and return.
        assert self.holders(process) == before
        state = self.record(process.variant).state
        assert state is (State.STOPPING if self.closed else State.ABORTING)

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), late=st.sampled_from((ev.EngineReady, ev.EngineUnhealthy)))
    def a_report_comes_too_late(self, data: st.DataObject, late: type[Any]) -> None:
        told = [p.ticket for p in self.processes.values() if p.told_to_stop]
        gone = sorted(self.tickets - self.processes.keys())
        ticket = data.draw(st.sampled_from([*told, *gone, 999]))
        before = self.picture()
        if late is ev.EngineReady:
            self.tell(ev.EngineReady(ticket, self.now))
        else:
            self.tell(ev.EngineUnhealthy(ticket, EngineUnresponsive("hangs"), self.now))
        assert self.picture() == before

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), luck=st.integers(0, 2))
    def an_engine_exits(self, data: st.DataObject, luck: int) -> None:
        process = data.draw(st.sampled_from(list(self.processes.values())))
        if process.told_to_stop or not luck:
            self.exit(process)

    @rule(seconds=st.sampled_from((0.5, 3.0, 30.0, 400.0)))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while self.wake is not None and self.wake <= end:
            self.now, self.wake = self.wake, None
            self.tell(ev.Tick(self.now))
        self.now = end

    @precondition(lambda self: len(self.requests) > 25)
    @rule()
    def the_gateway_drains(self) -> None:
        self.closed = True
        self.tell(ev.Drain(self.now))

    @precondition(lambda self: len(self.requests) > 40)
    @rule()
    def the_gateway_halts(self) -> None:
        self.closed = self.halted = True
        for process in self.processes.values():
            process.failed = False
        self.tell(ev.Halt(self.now))
        assert all(process.told_to_stop for process in self.processes.values())

    # -- how it happens ----------------------------------------------------------------

    def leave(self, request: Request) -> None:
        request.waits, request.engine, request.ended = False, None, True
        self.tell(ev.Left(request.number, self.now))

    def become_ready(self, process: Process) -> None:
        process.ready = True
        self.failures[_key(process.variant)] = 0
        self.tell(ev.EngineReady(process.ticket, self.now))

    def exit(self, process: Process) -> None:
        key = _key(process.variant)
        if not process.told_to_stop:
            process.failed = process.starting
        self.failures[key] += process.failed
        if process.failed or not (process.told_to_stop or self.closed):
            self.retry_at[key] = self.now + delay_after(self.failures[key])
        del self.processes[process.ticket]
        held = self.holders(process)
        self.tell(ev.EngineExited(process.ticket, "gone", self.now))
        for request in (self.requests[number] for number in held):
            request.engine, request.waits = None, True
            self.tell(ev.Returned(request.number, request.minimum, self.now))

    def record(self, wanted: VariantSpec) -> Any:
        return next(r for r in self.scheduler.records if r.variant is wanted)

    def picture(self) -> list[Any]:
        records = [
            (r.state, r.ticket, sorted(r.active), r.failures, r.retry_at)
            for r in self.scheduler.records
        ]
        return [records, self.scheduler.waiting, sorted(self.processes)]

    # -- what is always true -----------------------------------------------------------

    @invariant()
    def both_books_agree(self) -> None:
        assert list(self.scheduler.waiting) == self.waiting()
        living = {p.ticket: p for p in self.processes.values()}
        for record in self.scheduler.records:
            process = living.get(record.ticket) if record.state.live else None
            assert (process is not None) is record.state.live
            held = [] if process is None else self.holders(process)
            assert sorted(record.active) == sorted(held)
            assert record.failures == self.failures[_key(record.variant)]
        assert sum(r.state.live for r in self.scheduler.records) == len(living)

    @invariant()
    def who_waits_waits_for_something_that_will_happen(self) -> None:
        if self.waiting():
            assert not self.closed
            at_work = [p for p in self.processes.values() if p.told_to_stop or not p.ready]
            assert at_work or self.granted(), "nobody does anything"

    @invariant()
    def a_closed_gateway_keeps_no_idle_engine(self) -> None:
        if self.closed:
            for process in self.processes.values():
                assert process.told_to_stop or self.holders(process)

    # -- how it ends -------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        self._settle()
        assert not self.waiting()
        assert all(request.ended for request in self.requests.values())

    def _settle(self) -> None:
        """Let all due events happen, until none is left."""
        for _ in range(20 * len(self.requests) + 20):
            told = [p for p in self.processes.values() if p.told_to_stop]
            starting = [p for p in self.processes.values() if p.starting]
            if told:
                self.exit(told[0])
            elif starting:
                self.become_ready(starting[0])
            elif self.granted():
                self.leave(self.granted()[0])
            elif self.waiting():
                raise AssertionError("somebody waits for ever")
            else:
                return
        raise AssertionError("the world does not come to rest")


def _key(spec: VariantSpec) -> tuple[str, int]:
    return spec.model, spec.capacity


ManyWorld.TestCase.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=60
)
TestManyWorld = ManyWorld.TestCase
