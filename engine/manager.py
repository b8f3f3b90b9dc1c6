"""``EngineManager``: the one owner of engines and of the queue.

Every event comes in through ``_feed`` and goes to the scheduler. Its effects are performed here, in
order, without an await between them, so nothing can change between a decision and its act. Engine
tasks belong to the manager; a client that leaves only gives its own slot back.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from engine.lease import Leases
from engine.observer import Observer
from engine.process.commands import EngineCommands
from engine.process.pool import Launching, ProcessPool
from engine.resources.learnt_store import LoadTimes
from engine.resources.memory import Memory
from engine.resources.preload import Preloader
from engine.scheduling import events as ev
from engine.scheduling.eviction import Limits
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import EngineRecord, Policy, Scheduler
from utils.errors import CountUnavailable, EngineBusy, ModelNotLoaded
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.base import EngineRun
    from engine.client import EngineClient
    from engine.lease import Lease
    from engine.process.health import HealthChecks
    from engine.process.orphans import OrphanRegistry
    from engine.process.slots import Slot
    from engine.scheduling.engine_table import Reconfiguration
    from engine.scheduling.queue import Waiting
    from engine.types import EngineTypes
    from models.catalog import Catalog
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec
    from utils.clock import Clock, Timer

_log = get_logger("manager")


class Measured(NamedTuple):
    """What was measured of variants, by label: needs in bytes by resource, loads in seconds."""

    needs: Mapping[str, Mapping[str, int]]
    loads: Mapping[str, float]


class Prepared(NamedTuple):
    """What ``reconfigure`` applies: models by name, all their variants, and what is known of them.

    ``kept`` are the labels of variants whose engine is defined as before, and runs on.
    """

    models: Mapping[str, ModelSpec]
    variants: tuple[VariantSpec, ...]
    kept: frozenset[str]
    limits: Limits
    loads: Mapping[str, float]
    reconfiguration: Reconfiguration


class EngineManager:
    """Starts, restarts and stops engines. ``lease`` is that of ``Leases``."""

    def __init__(
        self,
        catalog: Catalog,
        policy: Policy,
        clock: Clock,
        registry: OrphanRegistry,
        types: EngineTypes,
        *,
        limits: Limits | None = None,
        memory: Memory | None = None,
        port_range: tuple[int, int] | None = None,
        checks: HealthChecks | None = None,
        preloader: Preloader | None = None,
        slots: Iterable[Slot] = (),
    ) -> None:
        self._preloader = preloader or Preloader(LoadTimes(None, os.environ, types), enabled=False)
        self._models: Mapping[str, ModelSpec] = {model.name: model for model in catalog.models}
        variants = [variant for model in catalog.models for variant in model.variants]
        self._memory = memory or Memory(clock)
        known = self.measured(variants)
        limits = (limits or Limits()).knowing(known.needs)
        self._scheduler = Scheduler(variants, policy, limits, known.loads)
        self._clock = clock
        self._types = types
        self._processes = ProcessPool(clock, registry, self._memory, self._report, types)
        self._processes.launching = Launching(port_range, checks)
        self.slots = self._processes.slots
        self.slots.reconfigure(slots, self._models)
        self._leases = Leases(self._scheduler, clock, self._feed, self._processes.runs)
        self.lease = self._leases.lease
        self._inbox: deque[ev.Event] = deque()
        self._feeding = False
        self._timer: Timer | None = None
        self._wakes_at = 0.0
        self._observer = Observer()
        self._commands = EngineCommands()
        self._waited = 0

    # -- leases ----------------------------------------------------------------------

    def visit(self, model: ModelSpec, client: str = "") -> Lease:
        """Return a lease on the model's engine that is already held, without a start or a wait.

        Raises ModelNotLoaded if the engine is not ready, EngineBusy if every slot is in use or a
        request waits for one, ShuttingDown. The caller must call ``leave``.
        """
        record = self._scheduler.live(model.name)
        if record is None or record.state is not State.READY:
            raise ModelNotLoaded(f"The model '{model.name}' is not loaded.")
        lease = self.lease(record.variant, client)
        if lease.visit():
            return lease
        raise EngineBusy(f"Every place of the engine {record.variant.label} is taken.")

    async def unload(self, model: str | None, *, force: bool = False) -> list[VariantSpec]:
        """Stop the model's engine, or every engine (None); return the variants that ended for it.

        Requests in flight end first; with ``force`` they lose their engine. Waiting requests go on
        waiting, and may have started an engine again.
        """
        leaving = [
            (record.variant, process)
            for record in self.records()
            if model in (None, record.variant.model)
            and (process := self._processes.get(record.ticket)) is not None
        ]
        self._feed(ev.Unload(model, force=force, now=self._clock.now()))
        for _, process in leaving:
            await process.gone(None)
        return [variant for variant, _ in leaving]

    def pin(self, model: str, *, pinned: bool) -> None:
        """Keep the model loaded once it is, or no longer; nothing is loaded for it."""
        self._feed(ev.Pin(model, pinned, self._clock.now()))

    # -- what others may see ---------------------------------------------------------

    def observe(self, observer: Observer) -> None:
        """Report to ``observer`` from now on, instead of to the one before."""
        self._observer = observer

    def now(self) -> float:
        """Return the current time of the clock for engines and requests."""
        return self._clock.now()

    def line(self) -> list[Waiting]:
        """Return the waiting requests in the order of their turns."""
        return self._scheduler.line(self._clock.now())

    def idle_time(self, record: EngineRecord) -> float:
        """Return the seconds without a request after which the engine ends; infinite: never."""
        return self._scheduler.idle_time(record)

    @property
    def pinned(self) -> frozenset[str]:
        """The models that an operator has pinned."""
        return self._scheduler.pinned

    def process(self, ticket: int) -> EngineRun | None:
        """Return the process of that run, or None after its end."""
        return self._processes.get(ticket)

    def records(self) -> tuple[EngineRecord, ...]:
        """The scheduler's record of every variant."""
        return self._scheduler.records

    def room(self) -> bool:
        """Return whether an engine could probably be started now."""
        return self._scheduler.room

    def fits(self, variant: VariantSpec) -> bool:
        """Return whether the variant can be loaded without the eviction of another model."""
        return self._scheduler.fits(variant)

    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._scheduler.waiting)

    def running(self, model: ModelSpec) -> VariantSpec | None:
        """Return the variant of the model whose engine is starting or ready, or None."""
        record = self._scheduler.live(model.name)
        return record.variant if record is not None and record.useful else None

    def ready(self) -> tuple[tuple[VariantSpec, EngineClient], ...]:
        """Return the ready engines, in the order of their starts."""
        ready = [record for record in self.records() if record.state is State.READY]
        ready.sort(key=lambda record: record.ticket)
        return tuple((r.variant, self._processes.runs[r.ticket].client) for r in ready)

    @property
    def learnt(self) -> Mapping[str, Mapping[str, int]]:
        """What was learnt of each variant's memory, by label, in bytes by resource."""
        return self._scheduler.learnt

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the prompt's exact size, counted by the model's ready engine, or None."""
        record = self._scheduler.live(model.name)
        if record is None or record.state is not State.READY:
            return None
        try:
            return await self._processes.runs[record.ticket].client.count(facts)
        except CountUnavailable as error:
            _log.debug("%s did not count: %s", record.variant.label, error)
            return None

    # -- another configuration -------------------------------------------------------

    def prepared(self, catalog: Catalog, kept: frozenset[str], limits: Limits) -> Prepared:
        """Return what ``reconfigure`` needs; it changes nothing.

        ``kept`` are the labels of variants whose engine is defined as before, and runs on. It looks
        at the files of the others: with very many, call it in a thread.
        """
        variants = tuple(variant for model in catalog.models for variant in model.variants)
        known = self.measured(variant for variant in variants if variant.label not in kept)
        limits = limits.knowing(known.needs)
        reconfiguration = self._scheduler.reconfiguration(variants, kept, limits)
        models = {model.name: model for model in catalog.models}
        return Prepared(models, variants, kept, limits, known.loads, reconfiguration)

    def reconfigure(
        self,
        prepared: Prepared,
        policy: Policy,
        *,
        port_range: tuple[int, int] | None,
        checks: HealthChecks | None = None,
        slots: Iterable[Slot] = (),
    ) -> None:
        """Use the engines that were ``prepared`` from now on.

        ``checks`` are the health checks of engines that start from now on.
        """
        models, variants, kept, limits, loads, made = prepared
        self._models = models
        self._processes.launching = Launching(port_range, checks)
        self.slots.reconfigure(slots, self._models)
        now = self._clock.now()
        self._feed(
            ev.Reconfigure(variants, kept, policy, limits, loads=loads, prepared=made, now=now)
        )

    def measured(self, variants: Iterable[VariantSpec]) -> Measured:
        """Return what is known of these variants from earlier starts, by label.

        It looks at the files of each variant: with very many, call it in a thread.
        """
        needs, loads = {}, {}
        for variant in variants:
            if amounts := self._memory.known(variant):
                needs[variant.label] = amounts
            if seconds := self._preloader.loads.seconds(variant):
                loads[variant.label] = seconds
        return Measured(needs, loads)

    # -- shutdown --------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Wait until no engine is left; refuse waiting requests.

        Requests in flight have ``seconds`` to end. It is safe to cancel: call ``halt`` afterwards.
        """
        self._feed(ev.Drain(self._clock.now()))
        try:
            async with asyncio.timeout(seconds):
                await self._processes.over()
        except TimeoutError:
            _log.warning("requests still run after shutdown_timeout (%g s)", seconds)
            self._feed(ev.Halt(self._clock.now()))
            await self._processes.over()

    async def halt(self) -> None:
        """Kill and reap every engine, at once."""
        self._feed(ev.Halt(self._clock.now()))
        self._processes.kill()
        await self._processes.over()
        await self._preloader.close()
        await self._commands.close()
        await self._types.close()
        if self._timer is not None:
            self._timer.cancel()

    # -- the loop of events and effects ----------------------------------------------

    def _feed(self, event: ev.Event) -> None:
        self._inbox.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inbox:
                event = self._inbox.popleft()
                for effect in self._scheduler.handle(event):
                    self._perform(effect)
                if isinstance(event, ev.Arrived | ev.Returned):
                    self._tell_wait(event)
                self._tell()
            if self._scheduler.queued:
                self._preloader.want(self._scheduler.upcoming(self._clock.now()))
            elif self._preloader.wanted is not None:
                self._preloader.want(None)
        finally:
            self._feeding = False

    def _tell_wait(self, event: ev.Arrived | ev.Returned) -> None:
        """Report to the observer why the request waits, if it does."""
        wait = self._scheduler.why_waits(event.request, event.now)
        if wait is not None:
            self._observer.waits(event.request, wait)

    def _tell(self) -> None:
        """Report the latest changes to the observer."""
        for change in self._scheduler.changes():
            self._observer.changed(change)
            if change.variant.on_ready or change.variant.on_stop:
                self._commands.changed(change)
        if (waiting := self._scheduler.queued) != self._waited:
            self._waited = waiting
            self._observer.waiting(waiting)

    def _perform(self, effect: ev.Effect) -> None:
        match effect:
            case ev.StartEngine():
                self._start(effect)
            case ev.StopEngine():
                if (process := self._processes.get(effect.engine)) is not None:
                    process.stop(save=effect.planned)
            case ev.Grant():
                process = self._processes.runs[effect.engine]
                self._leases.grant(effect.request, process, self._scheduler.variant(effect.engine))
            case ev.Refuse():
                self._observer.refused(effect.request, effect.error)
                self._leases.refuse(effect.request, effect.error)
            case ev.WakeAt():
                self._wake_at(effect.when)

    def _start(self, effect: ev.StartEngine) -> None:
        variant = effect.variant
        try:
            self._processes.start(
                effect.engine,
                variant,
                self._models[variant.model],
                heard=lambda line: self._observer.said(variant, line),
                loading=lambda percent: self._observer.loading(variant, percent),
            )
        except OSError as error:
            reason = f"there is no port for it: {error.strerror or error}"
            self._feed(ev.EngineExited(effect.engine, reason, self._clock.now()))
            return
        self._preloader.started(variant)

    def _report(self, event: ev.Event) -> None:
        if isinstance(event, ev.EngineReady) and (process := self._processes.get(event.engine)):
            self._preloader.ready(
                self._scheduler.variant(event.engine), event.now - process.started_at
            )
        self._feed(event)

    def _wake_at(self, when: float) -> None:
        # Each request moves the wish to later; a tick that comes too early asks again.
        if self._timer is not None and self._wakes_at <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = when
        self._timer = self._clock.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._feed(ev.Tick(self._clock.now()))
