"""Simulate a day of a scheduler quickly: jobs arrive; engines load, serve, end and may fail.

The simulation keeps its own records and checks every effect against them. So a run that ends has
broken no limit and lost no request.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.queue import Priority
from engine.scheduling.scheduler import Limits, Policy, Scheduler
from utils.errors import ConfigurationChanged, EngineStartFailed, ModelNotFound, QueueFull

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from models.spec import VariantSpec
    from utils.errors import GatewayError


@dataclass(frozen=True)
class Job:
    """A future request; it leaves after ``patience`` seconds in the queue."""

    at: float
    minimum: VariantSpec
    seconds: float
    client: str = ""
    priority: Priority = Priority.NORMAL
    patience: float = float("inf")
    fallbacks: tuple[VariantSpec, ...] = ()


@dataclass(frozen=True)
class Machine:
    """The real memory of the machine, and the real need of each variant, by its label."""

    memory: int
    takes: Mapping[str, int]


@dataclass(frozen=True)
class Change:
    """Another configuration, from ``at`` on; engines of ``kept`` labels are defined as before."""

    at: float
    variants: tuple[VariantSpec, ...]
    kept: frozenset[str]
    policy: Policy
    limits: Limits


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of a future unload."""

    at: float
    model: str | None
    force: bool


@dataclass
class Process:
    variant: VariantSpec
    address: str
    retired: bool = False
    ready: bool = False
    stopping: bool = False
    holders: set[int] = field(default_factory=set)


@dataclass
class Report:
    """The results of the jobs, by their number."""

    waited: dict[int, float] = field(default_factory=dict)
    served: dict[int, float] = field(default_factory=dict)
    refused: dict[int, GatewayError] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    starts: int = 0
    shortages: int = 0
    most_engines: int = 0
    end: float = 0.0


class Simulation:
    """One scheduler, and the machine that performs its effects."""

    def __init__(
        self,
        variants: Sequence[VariantSpec],
        policy: Policy,
        limits: Limits,
        *,
        load: float = 4.0,
        stop: float = 1.0,
        faults: random.Random | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.scheduler = Scheduler(variants, policy, limits)
        self.report = Report()
        self._policy, self._limits = policy, limits
        self._load, self._stop = load, stop
        self._faults = faults
        self._machine = machine
        self._short: dict[str, int] = {}
        self._now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._processes: dict[int, Process] = {}
        self._jobs: dict[int, Job] = {}
        self._waiting: dict[int, float] = {}
        self._held: dict[int, int] = {}
        self._forced = False
        self._minimum: dict[int, VariantSpec] = {}

    def run(
        self,
        jobs: Iterable[Job],
        changes: Iterable[Change] = (),
        orders: Iterable[Params] = (),
    ) -> Report:
        """Run all events, until no request waits and every engine has ended."""
        for order in orders:
            self._at(order.at, partial(self._unload, order))
        for number, job in enumerate(sorted(jobs, key=lambda each: each.at)):
            self._jobs[number] = job
            self._at(job.at, partial(self._arrive, number))
        for change in changes:
            self._at(change.at, partial(self._reconfigure, change))
        while self._agenda:
            self._now, _, happen = heapq.heappop(self._agenda)
            happen()
        assert not self._waiting, "a request waits for ever"
        assert not self._held
        assert not self._processes, "an engine is never unloaded"
        ends = [*self.report.served, *self.report.refused, *self.report.left]
        assert sorted(ends) == sorted(self._jobs), "a request is lost, or has two ends"
        self.report.end = self._now
        return self.report

    # -- what happens -----------------------------------------------------------------

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), happen))

    def _arrive(self, number: int) -> None:
        job = self._jobs[number]
        self._waiting[number] = self._now
        self._tell(
            ev.Arrived(
                number,
                job.minimum,
                fallbacks=job.fallbacks,
                client=job.client,
                priority=job.priority,
                now=self._now,
            )
        )
        if number in self._waiting:
            assert len(self._waiting) <= self._policy.max_queue
        if job.patience < float("inf"):
            self._at(self._now + job.patience, lambda: self._lose_patience(number))

    def _reconfigure(self, change: Change) -> None:
        self._policy, self._limits = change.policy, change.limits
        configured = {variant.label: variant for variant in change.variants}
        for process in self._processes.values():
            label = process.variant.label
            if label in change.kept and not process.retired:
                process.variant = configured[label]
            else:
                process.retired = True
        event = ev.Reconfigure(
            change.variants, change.kept, change.policy, change.limits, self._now
        )
        self._tell(event)
        self._check_limits([r.variant for r in self.scheduler.records if r.useful])

    def _lose_patience(self, number: int) -> None:
        if self._waiting.pop(number, None) is not None:
            self.report.left.add(number)
            self._tell(ev.Left(number, self._now))

    def _finish(self, number: int, ticket: int) -> None:
        if self._held.get(number) != ticket:
            return
        del self._held[number]
        self._processes[ticket].holders.discard(number)
        self.report.served[number] = self._now
        self._tell(ev.Left(number, self._now))

    def _unload(self, order: Params) -> None:
        self._forced = order.force
        self._tell(ev.Unload(order.model, force=order.force, now=self._now))
        self._forced = False

    def _become_ready(self, ticket: int) -> None:
        process = self._processes.get(ticket)
        if process is None or process.stopping:
            return
        label = process.variant.label
        if self._overfull():
            self.report.shortages += 1
            self._short[label] = self._short.get(label, 0) + 1
            self._exit(ticket, out_of_memory="gpu")
            return
        self._short[label] = 0
        process.ready = True
        self._tell(ev.EngineReady(ticket, self._now))
        if self._machine is not None:
            held = {"gpu": self._machine.takes[label]}
            self._tell(ev.EngineMeasured(ticket, held, self._now))

    def _overfull(self) -> bool:
        machine = self._machine
        if machine is None:
            return False
        living = self._processes.values()
        return sum(machine.takes[each.variant.label] for each in living) > machine.memory

    def _exit(self, ticket: int, out_of_memory: str = "") -> None:
        process = self._processes.pop(ticket, None)
        if process is None:
            return
        if not (process.ready or process.stopping or out_of_memory):
            self._short[process.variant.label] = 0
        self._tell(ev.EngineExited(ticket, "gone", out_of_memory=out_of_memory, now=self._now))
        for number in sorted(process.holders):
            # A request that was being served tries once more, as upstream calls do.
            del self._held[number]
            self._waiting[number] = self._now
            self._tell(ev.Returned(number, self._minimum[number], self._now))

    def _tell(self, event: ev.Event) -> None:
        for effect in self.scheduler.handle(event):
            match effect:
                case ev.StartEngine():
                    self._start(effect)
                case ev.StopEngine():
                    self._stop_engine(effect.engine)
                case ev.Grant():
                    self._grant(effect)
                case ev.Refuse():
                    self._refuse(effect)
                case ev.WakeAt():
                    assert effect.when > self._now
                    self._at(effect.when, lambda: self._tell(ev.Tick(self._now)))
        assert sorted(self._waiting) == list(self.scheduler.waiting)

    # -- what is done, and may be done ------------------------------------------------

    def _start(self, effect: ev.StartEngine) -> None:
        label = effect.variant.label
        address = self._limits.addresses.get(label, label)
        self._processes[effect.engine] = Process(effect.variant, address)
        self.report.starts += 1
        self.report.most_engines = max(self.report.most_engines, len(self._processes))
        living = self._processes.values()
        variants = [process.variant for process in living]
        *others, newest = variants
        if self._short.get(newest.label):
            kept = [self._limits.keeps(each, newest) for each in others]
            assert all(kept), "no second try alone"
        self._check_limits(variants)
        assert len({process.address for process in living}) == len(living)
        load = self._load
        if self._faults is None:
            self._at(self._now + load, lambda: self._become_ready(effect.engine))
            return
        fate = self._faults.random()
        if fate < 0.1:
            self._at(self._now + load / 2, lambda: self._exit(effect.engine))
        self._at(self._now + load, lambda: self._become_ready(effect.engine))
        if fate > 0.8:
            crash = self._now + load + self._faults.expovariate(1 / 20)
            self._at(crash, lambda: self._exit(effect.engine))

    def _check_limits(self, living: Sequence[VariantSpec]) -> None:
        limits = self._limits
        models = [variant.model for variant in living]
        assert len({*models}) == len(models), "two engines of one model"
        assert len(living) <= limits.max_loaded
        for name, amount in limits.resources.items():
            assert sum(variant.needs.get(name, 0) for variant in living) <= amount
        kept = {
            m for m in models if m in limits.pinned or limits.groups.get(m) in limits.persistent
        }
        # Engines that end after a change of limits may conflict with each other, not with new ones.
        newcomer = models[-1:] if self._others_end() else models
        if limits.groups and {*newcomer} - kept:
            assert len({limits.groups.get(model, f"={model}") for model in {*models} - kept}) <= 1

    def _others_end(self) -> bool:
        return any(record.state.live and not record.useful for record in self.scheduler.records)

    def _stop_engine(self, ticket: int) -> None:
        process = self._processes[ticket]
        assert not process.holders or self._forced, "a busy engine is ended"
        assert not process.stopping
        process.stopping = True
        self._at(self._now + self._stop, lambda: self._exit(ticket))

    def _grant(self, effect: ev.Grant) -> None:
        process, job = self._processes[effect.engine], self._jobs[effect.request]
        assert process.ready
        assert not process.retired, "an engine of before serves a new request"
        assert not process.stopping
        assert process.variant.model == job.minimum.model
        least = min([job.minimum, *job.fallbacks], key=lambda each: each.capacity)
        assert process.variant.capacity >= least.capacity
        asked = self._minimum.get(effect.request, job.minimum)
        if process.variant.capacity < asked.capacity:
            asked = process.variant
        self._minimum[effect.request] = asked
        since = self._waiting.pop(effect.request)
        waited = self.report.waited.get(effect.request, 0.0)
        self.report.waited[effect.request] = waited + self._now - since
        process.holders.add(effect.request)
        assert len(process.holders) <= process.variant.parallel
        self._held[effect.request] = effect.engine
        end = self._now + job.seconds
        self._at(end, lambda: self._finish(effect.request, effect.engine))

    def _refuse(self, effect: ev.Refuse) -> None:
        del self._waiting[effect.request]
        known = QueueFull | EngineStartFailed | ModelNotFound | ConfigurationChanged
        assert isinstance(effect.error, known)
        self.report.refused[effect.request] = effect.error


def loads_in_order_of_arrival(jobs: Sequence[Job], most: int) -> int:
    """Return the loads of plain first-come-first-served, with room for ``most`` engines."""
    loaded: list[str] = []
    loads = 0
    for job in sorted(jobs, key=lambda each: each.at):
        model = job.minimum.model
        if model in loaded:
            loaded.remove(model)
        else:
            loads += 1
            del loaded[: max(0, len(loaded) + 1 - most)]
        loaded.append(model)
    return loads


def longest_wait(
    jobs: Sequence[Job], served: Mapping[int, float], policy: Policy, switch: float
) -> Iterator[tuple[int, float]]:
    """Return the longest wait that the documentation promises for each job.

    It is the work that was there before the job and, behind later jobs, ``max_switch_wait``.
    ``switch`` is the time to end an engine and to load another.
    """
    longest = max(job.seconds for job in jobs)
    for number, job in enumerate(jobs):
        before = [n for n in range(number) if served[n] > job.at]
        models = [jobs[n].minimum.model for n in (*before, number)]
        switches = 2 + sum(one != other for one, other in pairwise(models))
        work = sum(jobs[n].seconds for n in before)
        each = switch + policy.min_residency + longest
        yield number, policy.max_switch_wait + longest + work + switches * each
