"""One run of one engine: spawn → probe → watch → stop ladder.

An ``EngineProcess`` acts and reports; it decides nothing about other engines and
knows no requests. It reports EngineReady and EngineUnhealthy at most once each, and
EngineExited exactly once, as its last act, when the process is reaped and its group
is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from engine import effects as fx
from engine.health import HealthChecks, Pulse
from engine.logtail import LogTail, last_meaningful
from engine.ports import port_holder
from engine.progress import is_protocol, percent_in
from engine.spawner import Child, Launch, spawn
from utils.errors import EngineStartTimeout, EngineUnresponsive
from utils.logger import get_logger
from utils.tasks import TaskOwner, first_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.carry.carrier import CarriedEngine
    from engine.client import EngineClient
    from engine.memory import EngineMemory
    from engine.oom import Shortage
    from engine.orphans import OrphanRegistry
    from models.spec import Timeouts
    from utils.clock import Clock

_log = get_logger("engine")

# Probes start dense, since small models load in no time, and thin out with the waiting time.
FIRST_PROBE = 0.01
SLOWEST_PROBE = 0.1
_PROBE_SHARE = 0.04
_OUTPUT_GRACE = 0.2
# What was killed is gone at once, unless nobody reaps it, as in a container without an init.
_KILLED_GRACE = 1.0


def probe_interval(elapsed: float) -> float:
    """Seconds until the next readiness probe, ``elapsed`` seconds after the spawn."""
    return min(SLOWEST_PROBE, max(FIRST_PROBE, elapsed * _PROBE_SHARE))


class EngineProcess:
    """The process behind one ticket."""

    def __init__(
        self,
        ticket: int,
        launch: Launch,
        client: EngineClient,
        timeouts: Timeouts,
        report: Callable[[fx.Event], None],
        clock: Clock,
        registry: OrphanRegistry,
        memory: EngineMemory,
        checks: HealthChecks | None = None,
        *,
        carried: CarriedEngine | None = None,
        heard: Callable[[str], None] | None = None,
        loading: Callable[[float], None] | None = None,
    ) -> None:
        self.ticket = ticket
        self.client = client
        self.carried = carried
        self.label = launch.label
        self.tail = LogTail()
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
        self._heard = heard
        self._loading = loading
        self._child: Child | None = None
        self._stop = asyncio.Event()
        self._saves = False
        self._gone = asyncio.Event()
        self._stirred = asyncio.Event()

    def stop(self, *, save: bool = False) -> None:
        """The stop ladder begins; EngineExited follows. Harmless when called again.

        With ``save`` a ready engine keeps its slots' contents first.
        """
        self._saves = save and not self._stop.is_set()
        self._stop.set()

    async def gone(self, within: float | None) -> bool:
        """Whether the process is gone, waiting ``within`` seconds for it; None: until it is."""
        return await _happens(self._gone, within)

    def kill(self) -> None:
        """The process group gets SIGKILL now; EngineExited follows once it is reaped."""
        self._saves = False
        self._stop.set()
        if self._child is not None:
            self._child.kill()

    async def run(self) -> None:
        """Return once the engine is gone, however it ended; also when cancelled."""
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
                now = self._clock.now()
                self._report(fx.EngineExited(self.ticket, reason, now, out_of_memory=lacked))

    async def _run(self) -> str:
        if self._memory.owed() and not await self._memory_is_back():
            return "it was stopped"
        if (holder := port_holder(self._launch.url)) is not None:
            return holder
        try:
            launch = self._launch
            if self.carried is not None:
                launch = await self.carried.prepared(launch)
            child = await spawn(launch)
        except OSError as error:
            return f"{self._launch.argv[0]} could not be run: {error.strerror or error}"
        self.pid = child.pid
        self._child = child
        _log.info("%s started, pid %d, %s", self.label, child.pid, self._launch.url)
        tasks = TaskOwner(self.label)
        output = tasks.spawn(self._read_output(child), "output")
        exited = tasks.spawn(child.wait(), "wait")
        try:
            self._registry.add(child.pid, self._launch.argv[1:])
            await self._live(tasks, exited)
        finally:
            # Shielded by order: nothing below gives up before the child is reaped.
            status = await self._end(child, exited)
            await first_of(output, timeout=_OUTPUT_GRACE)
            child.close()
            await tasks.cancel()
            self._registry.remove(child.pid)
            self._memory.ended()
        if self._stop.is_set():
            _log.info("%s stopped, %s", self.label, _describe(status))
            return _describe(status)
        if self.ready_at is None:
            # What it had said by then is the least that it needs.
            self._memory.learn(self._measured)
            self._shortage = self._memory.shortage(status)
        # A signal comes from outside: the log only matters where it complains.
        said = last_meaningful(self.tail, complaints_only=status < 0)
        if self._shortage is not None:
            said = self._shortage.said
        reason = f"{_describe(status)}{': ' + said if said else ''}"
        _log.warning("%s ended by itself, %s", self.label, reason)
        return reason

    async def _live(self, tasks: TaskOwner, exited: asyncio.Task[int]) -> None:
        """Return when the engine has exited or must be stopped."""
        stop = tasks.spawn(self._stop.wait(), "stop")
        ready = tasks.spawn(self._become_ready(), "probe")
        if not await first_of(exited, stop, ready, timeout=self._timeouts.startup):
            seconds = self._timeouts.startup
            error = EngineStartTimeout(
                f"The engine {self.label} was not ready within engine_startup_timeout"
                f" ({seconds:g} s). Last line of its log: {last_meaningful(self.tail) or 'none'}"
            )
            self._report(fx.EngineUnhealthy(self.ticket, error, self._clock.now()))
        elif ready.done() and not exited.done() and not stop.done():
            ready.result()
            self.ready_at = self._clock.now()
            _log.info("%s ready after %.2f s", self.label, self.ready_at - self.started_at)
            self._report(fx.EngineReady(self.ticket, self.ready_at))
            if self.pid is not None:
                tasks.spawn(self._memory.watch(self.pid, self._measured), "memory")
            if self._checks.interval:
                deaf = tasks.spawn(self._fall_silent(), "health")
                await first_of(exited, stop, deaf)
                if deaf.done() and not exited.done() and not stop.done():
                    deaf.result()
                    self._give_up()
                deaf.cancel()
        ready.cancel()
        await first_of(exited, stop)
        if not exited.done():
            if self._saves and self.ready_at is not None and self.carried is not None:
                await first_of(exited, tasks.spawn(self.carried.save(), "save"))
            # llama-server lives on for as long as someone listens to an answer of its.
            await self.client.close()
            await self._memory.leaving()

    async def _memory_is_back(self) -> bool:
        """Whether it came back, or was waited for long enough, before a stop."""
        tasks = TaskOwner(self.label)
        stop = tasks.spawn(self._stop.wait(), "stop")
        try:
            await first_of(stop, tasks.spawn(self._memory.back(), "memory"))
        finally:
            await tasks.cancel()
        self.started_at = self._clock.now()
        return not self._stop.is_set()

    def _measured(self, amounts: dict[str, int]) -> None:
        self._report(fx.EngineMeasured(self.ticket, amounts, self._clock.now()))

    async def _become_ready(self) -> None:
        while not await self.client.healthy():
            interval = probe_interval(self._clock.now() - self.started_at)
            await self._clock.sleep(FIRST_PROBE)
            self._stirred.clear()
            # An engine that has just become ready says so; the next probe need not wait.
            await _happens(self._stirred, interval - FIRST_PROBE)

    async def _fall_silent(self) -> None:
        """Return when the engine has been looked at in vain too often."""
        pulse, pause = Pulse(self._checks), self._checks.interval
        while True:
            await self._clock.sleep(pause)
            began = self._clock.now()
            healthy = await self.client.healthy()
            if pulse.deaf(healthy=healthy, heard=self.client.heard):
                return
            if pulse.failed:
                _log.warning("%s failed a health check, %d in a row", self.label, pulse.failed)
            pause = max(0.0, began + self._checks.interval - self._clock.now())

    def _give_up(self) -> None:
        # Said at once: who was being answered shall not wait for the end of the stop ladder.
        self.ended = f"it answered none of its last {self._checks.failures} health checks"
        error = EngineUnresponsive(f"The engine {self.label} hangs: {self.ended}.")
        _log.warning("%s is replaced: %s", self.label, self.ended)
        self._report(fx.EngineUnhealthy(self.ticket, error, self._clock.now()))

    async def _read_output(self, child: Child) -> None:
        log = get_logger(f"engine.{self.label}")
        async for line in child.lines():
            if is_protocol(line):
                percent = percent_in(line)
                if percent is not None and self._loading is not None:
                    self._loading(percent)
                continue
            self.tail.append(line)
            if self.ready_at is None:
                self._memory.read(line)
            self._stirred.set()
            if self._heard is not None:
                self._heard(line)
            # Loading is worth following; what an engine says of each request is for the curious.
            log.log(logging.INFO if self.ready_at is None else logging.DEBUG, "%s", line)

    async def _end(self, child: Child, exited: asyncio.Task[int]) -> int:
        """SIGTERM, wait, SIGKILL, reap; then what is left of the group."""
        if not exited.done():
            asked = self._clock.now()
            child.terminate()
            if await _within(exited, self._timeouts.stop):
                # A wrapper script may be gone while the engine that it started still ends.
                await self._group_ends(child, asked + self._timeouts.stop)
            else:
                _log.warning("%s did not end within %g s", self.label, self._timeouts.stop)
        child.kill()
        while not exited.done():
            await _within(exited, None)
        await self._group_ends(child, self._clock.now() + _KILLED_GRACE)
        return exited.result()

    async def _group_ends(self, child: Child, deadline: float) -> None:
        """Return when nothing of the group is left, at ``deadline``, or when cancelled."""
        with contextlib.suppress(asyncio.CancelledError):
            while child.group_lives() and self._clock.now() < deadline:
                await self._clock.sleep(FIRST_PROBE)


async def _happens(event: asyncio.Event, within: float | None) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


async def _within(task: asyncio.Task[int], limit: float | None) -> bool:
    """Whether the task ends within ``limit`` seconds; a cancellation only ends the waiting."""
    try:
        return await first_of(task, timeout=limit)
    except asyncio.CancelledError:
        return task.done()


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
