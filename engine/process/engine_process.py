"""One run of one engine: spawn → probe → watch → stop.

An ``EngineProcess`` acts and reports. It decides nothing about other engines, and knows no
requests. It reports EngineReady and EngineUnhealthy at most once each, and EngineExited exactly
once: as its last act, when the process is reaped and its process group is gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.base import EngineHooks, LogReader
from engine.process.health import HealthChecks
from engine.process.log_tail import last_meaningful
from engine.process.ports import port_holder
from engine.process.probes import until_ready, until_stalled, until_unresponsive
from engine.process.pump import EngineOutput
from engine.process.spawn import Child, spawn
from engine.process.stop import stop_and_reap
from engine.scheduling import events as ev
from utils.errors import EngineStartTimeout, EngineUnresponsive
from utils.logger import get_logger
from utils.tasks import TaskOwner, first_of, happens

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import Launch, Shortage
    from engine.client import EngineClient
    from engine.process.orphans import OrphanRegistry
    from engine.resources.memory import EngineMemory
    from models.spec import Timeouts
    from utils.clock import Clock

_log = get_logger("engine")
_OUTPUT_GRACE = 0.2
# Windows has no such signal.
_SIGKILL = 9


class EngineProcess:
    """The process of one ticket."""

    def __init__(
        self,
        ticket: int,
        launch: Launch,
        client: EngineClient,
        timeouts: Timeouts,
        report: Callable[[ev.Event], None],
        clock: Clock,
        registry: OrphanRegistry,
        memory: EngineMemory,
        checks: HealthChecks | None = None,
        *,
        hooks: EngineHooks | None = None,
        reader: LogReader | None = None,
        heard: Callable[[str], None] | None = None,
        loading: Callable[[float], None] | None = None,
    ) -> None:
        self.ticket = ticket
        self.client = client
        self.hooks = hooks or EngineHooks()
        self._reader = reader or LogReader()
        self.label = launch.label
        self.output = EngineOutput(launch.label, self._reader, heard, loading)
        self.pid: int | None = None
        self.started_at = clock.now()
        self.ready_at: float | None = None
        self.ended = ""
        self._launch = launch
        self._timeouts = timeouts
        self._report = report
        self._clock = clock
        self._registry = registry
        self._memory = memory
        self._shortage: Shortage | None = None
        self._checks = checks or HealthChecks()
        self._child: Child | None = None
        self._stop = asyncio.Event()
        self._saves = False
        self._gone = asyncio.Event()

    def stop(self, *, save: bool = False) -> None:
        """Begin to stop the engine; EngineExited follows. Does nothing if called again.

        With ``save``, the ``before_stop`` hook of a ready engine runs first.
        """
        if not self._stop.is_set():
            self._saves = save
        self._stop.set()

    async def gone(self, within: float | None) -> bool:
        """Wait up to ``within`` seconds (None: no limit) for the end; return whether it came."""
        return await happens(self._gone, within)

    def kill(self) -> None:
        """Send SIGKILL to the process group now; EngineExited follows once it is reaped."""
        self._saves = False
        self._stop.set()
        if self._child is not None:
            self._child.kill()

    async def run(self) -> None:
        """Return once the engine has ended, for any reason; also when cancelled."""
        reason = "it was stopped"
        try:
            reason = await self._run()
        finally:
            self.ended = self.ended or ("it was stopped" if self._stop.is_set() else reason)
            try:
                await self.client.close()
            finally:
                self._gone.set()
                lacked = self._shortage.resource if self._shortage is not None else ""
                self._report(
                    ev.EngineExited(
                        self.ticket,
                        reason,
                        self._clock.now(),
                        out_of_memory=lacked,
                        advice=self._reader.advice,
                    )
                )

    async def _run(self) -> str:
        if self._memory.owed() and not await self._memory_is_back():
            return "it was stopped"
        if (holder := port_holder(self._launch.url)) is not None:
            return holder
        if (launch := await self._prepared()) is None:
            return "it was stopped"
        try:
            child = await spawn(launch)
        except OSError as error:
            return f"{self._launch.argv[0]} could not be run: {error.strerror or error}"
        self.pid = child.pid
        self._child = child
        _log.info("%s started, pid %d, %s", self.label, child.pid, self._launch.url)
        tasks = TaskOwner(self.label)
        output = tasks.spawn(self.output.read(child), "output")
        exited = tasks.spawn(child.wait(), "wait")
        try:
            self._registry.add(child.pid, launch.argv[1:])
            await self._live(tasks, exited)
        finally:
            # Shielded by order: nothing below gives up before the child is reaped.
            status = await stop_and_reap(
                self.label, child, exited, self._timeouts.stop, self._clock
            )
            await first_of(output, timeout=_OUTPUT_GRACE)
            child.close()
            await tasks.cancel()
            self.hooks.ended()
            self._registry.remove(child.pid)
            self._memory.ended()
        if self._stop.is_set():
            _log.info("%s stopped, %s", self.label, _describe(status))
            return _describe(status)
        if self.ready_at is None:
            # What it had said by then is the least that it needs.
            self._memory.learn(self._measured)
            self._shortage = self._memory.shortage(status)
        # After a signal the log only matters where it complains; of SIGKILL it cannot know.
        said = last_meaningful(self.output.tail, complaints_only=status < 0)
        if status == -_SIGKILL:
            said = ""
        if self._shortage is not None:
            said = self._shortage.said
        reason = f"{_describe(status)}{': ' + said if said else ''}"
        _log.warning("%s ended by itself, %s", self.label, reason)
        return reason

    async def _look_over(self) -> None:
        for what in await self.client.unlike():
            _log.warning("%s %s", self.label, what)

    async def _live(self, tasks: TaskOwner, exited: asyncio.Task[int]) -> None:
        """Return when the engine has exited or must be stopped."""
        stop = tasks.spawn(self._stop.wait(), "stop")
        ready = tasks.spawn(
            until_ready(self.client, self._clock, self.started_at, self.output.stirred), "probe"
        )
        if not await first_of(exited, stop, ready, timeout=self._timeouts.startup):
            self._too_slow()
        elif ready.done() and not exited.done() and not stop.done():
            ready.result()
            self.ready_at = self._clock.now()
            self.output.loads = False
            _log.info("%s ready after %.2f s", self.label, self.ready_at - self.started_at)
            self._report(ev.EngineReady(self.ticket, self.ready_at))
            if self.pid is not None:
                tasks.spawn(self._memory.watch(self.pid, self._measured), "memory")
            tasks.spawn(self._look_over(), "look over")
            hangs = tasks.spawn(self._until_it_hangs(), "health")
            await first_of(exited, stop, hangs)
            if hangs.done() and not exited.done() and not stop.done():
                self._give_up(hangs.result())
            hangs.cancel()
        ready.cancel()
        await first_of(exited, stop)
        if not exited.done():
            if self._saves and self.ready_at is not None:
                await first_of(exited, tasks.spawn(self.hooks.before_stop(), "save"))
            # Some engines run on as long as a client reads one of their answers.
            await self.client.close()
            await self._memory.leaving()

    async def _until_it_hangs(self) -> str:
        """Return the sign that the engine hangs, once there is one."""
        tasks = TaskOwner(self.label)
        looks = []
        if self._checks.interval:
            unresponsive = until_unresponsive(self.label, self.client, self._checks, self._clock)
            failures = f"it answered none of its last {self._checks.failures} health checks"
            looks.append((tasks.spawn(unresponsive, "unresponsive"), failures))
        if limit := self._timeouts.stall:
            stalled = until_stalled(self.client, limit, self._clock)
            still = f"nothing moved on its requests for {limit:g} s (stall_timeout)"
            looks.append((tasks.spawn(stalled, "stalled"), still))
        if not looks:
            await asyncio.Event().wait()
        try:
            await first_of(*(task for task, _ in looks))
            ended = [(task, reason) for task, reason in looks if task.done()]
            for task, _ in ended:
                task.result()
            return ended[0][1]
        finally:
            await tasks.cancel()

    async def _prepared(self) -> Launch | None:
        """Return how to launch it; None if it was stopped before that was known."""
        tasks = TaskOwner(self.label)
        stop = tasks.spawn(self._stop.wait(), "stop")
        prepared = tasks.spawn(self.hooks.prepared(self._launch), "prepared")
        try:
            await first_of(stop, prepared)
            return None if stop.done() else prepared.result()
        finally:
            await tasks.cancel()

    async def _memory_is_back(self) -> bool:
        """Wait for the memory of ended engines; return False if a stop comes first."""
        tasks = TaskOwner(self.label)
        stop = tasks.spawn(self._stop.wait(), "stop")
        try:
            await first_of(stop, tasks.spawn(self._memory.back(), "memory"))
        finally:
            await tasks.cancel()
        self.started_at = self._clock.now()
        return not self._stop.is_set()

    def _measured(self, amounts: dict[str, int]) -> None:
        self._report(ev.EngineMeasured(self.ticket, amounts, self._clock.now()))

    def _too_slow(self) -> None:
        said = last_meaningful(self.output.tail) or "none"
        error = EngineStartTimeout(
            f"The engine {self.label} was not ready within engine_startup_timeout"
            f" ({self._timeouts.startup:g} s). Last line of its log: {said}"
        )
        self._report(ev.EngineUnhealthy(self.ticket, error, self._clock.now()))

    def _give_up(self, reason: str) -> None:
        # Reported at once, so that the clients need not wait until the engine is stopped.
        self.ended = reason
        error = EngineUnresponsive(f"The engine {self.label} hangs: {self.ended}.")
        _log.warning("%s is replaced: %s", self.label, self.ended)
        self._report(ev.EngineUnhealthy(self.ticket, error, self._clock.now()))


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
