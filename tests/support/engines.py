"""Engines without a gateway: one process, or a manager of several."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway import nothing_left, until
from ports import quiet_port

from engine.llamacpp.type import LlamaCpp
from engine.manager import EngineManager
from engine.process.engine_process import EngineProcess
from engine.process.orphans import OrphanRegistry
from engine.resources.memory import Memory
from engine.scheduling import events as ev
from engine.scheduling.scheduler import Limits, Policy
from engine.types import EngineTypes
from models.catalog import Catalog
from utils.clock import LoopClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fake_engine import Journal

    from engine.process.health import HealthChecks
    from models.spec import ModelSpec, VariantSpec
    from utils.clock import Clock, Timer


class ShiftedTimer:
    """A call that a ShiftedClock will make."""

    def __init__(self, when: float, call: Callable[[], None], due: set[ShiftedTimer]) -> None:
        self.when = when
        self.handle: asyncio.TimerHandle | None = None
        self._call = call
        self._due = due
        due.add(self)

    def cancel(self) -> None:
        self._due.discard(self)
        if self.handle is not None:
            self.handle.cancel()

    def run(self) -> None:
        if self in self._due:
            self.cancel()
            self._call()


class ShiftedClock(LoopClock):
    """The loop's clock, which a test can move forward.

    If it ``stands``, nothing else moves it, so that it does not matter how busy the machine is.
    """

    def __init__(self, *, stands: bool = False) -> None:
        self._ahead = 0.0
        self._stands = stands
        self._due: set[ShiftedTimer] = set()

    def now(self) -> float:
        return self._ahead + (1000.0 if self._stands else super().now())

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = ShiftedTimer(when, call, self._due)
        if not self._stands:
            timer.handle = asyncio.get_running_loop().call_at(when - self._ahead, timer.run)
        return timer

    def skip(self, seconds: float) -> None:
        """Move the clock forward by ``seconds``, and run what is due by then."""
        self._ahead += seconds
        for timer in sorted(self._due, key=lambda timer: timer.when):
            if timer.when <= self.now():
                timer.run()


@dataclass
class Run:
    """One running EngineProcess, and its reports."""

    process: EngineProcess
    task: asyncio.Task[None]
    reports: list[ev.Event] = field(default_factory=list)

    async def reported(self, kind: type[ev.Event]) -> ev.Event:
        """Wait for a report of this kind, and return it."""
        await until(lambda: any(isinstance(event, kind) for event in self.reports))
        return next(event for event in self.reports if isinstance(event, kind))

    async def ended(self) -> ev.EngineExited:
        """Wait for the end of the process, and return its last report."""
        await self.task
        last = self.reports[-1]
        assert isinstance(last, ev.EngineExited)
        assert len([event for event in self.reports if isinstance(event, ev.EngineExited)]) == 1
        return last


@asynccontextmanager
async def running_engine(
    journal: Journal,
    variant: VariantSpec,
    port: int | None = None,
    memory: Memory | None = None,
    checks: HealthChecks | None = None,
) -> AsyncIterator[Run]:
    """Start the variant's engine; stop it at the end of the block."""
    async with nothing_left(journal):
        engine = LlamaCpp()
        url = engine.address(variant, None) or f"http://127.0.0.1:{port or quiet_port()}"
        reader = engine.log_reader(variant, os.environ)
        reports: list[ev.Event] = []
        process = EngineProcess(
            7,
            engine.launch(variant, url, os.environ),
            engine.client(variant, url),
            variant.timeouts,
            reports.append,
            LoopClock(),
            OrphanRegistry(journal.path.parent / "state"),
            (memory or Memory(LoopClock())).engine(variant, reader),
            checks,
            reader=reader,
        )
        run = Run(process, asyncio.create_task(process.run()), reports)
        try:
            yield run
        finally:
            process.kill()
            await asyncio.wait([run.task])
        assert not list((journal.path.parent / "state").glob("*.json")), "still on record"


@asynccontextmanager
async def running_manager(
    journal: Journal,
    *models: ModelSpec,
    clock: Clock | None = None,
    max_queue: int = 64,
    policy: Policy | None = None,
    limits: Limits | None = None,
    memory: Memory | None = None,
    port_range: tuple[int, int] | None = None,
    checks: HealthChecks | None = None,
) -> AsyncIterator[EngineManager]:
    """Inside the block, a manager serves leases on the models' engines."""
    async with nothing_left(journal):
        manager = EngineManager(
            Catalog(models),
            policy or Policy(max_queue=max_queue),
            clock or LoopClock(),
            OrphanRegistry(journal.path.parent / "state"),
            EngineTypes([LlamaCpp()]),
            limits=limits,
            memory=memory,
            port_range=port_range,
            checks=checks,
        )
        try:
            yield manager
        finally:
            await manager.halt()
        # Nothing is held: every request has given its slot back.
        assert not manager.waiting()
        assert not [record for record in manager.records() if record.active or record.state.live]
