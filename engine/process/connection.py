"""One run of an engine that the gateway does not start: probe → watch → close.

It reports as a process does: EngineReady and EngineUnhealthy at most once each, and EngineExited
exactly once, when its connections are closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.base import EngineHooks
from engine.process.commands import run_command
from engine.process.health import HealthChecks
from engine.process.probes import until_ready, until_unresponsive
from engine.scheduling import events as ev
from utils.errors import EngineUnresponsive
from utils.logger import get_logger
from utils.tasks import TaskOwner, first_of, happens

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import EngineClient
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("engine")


class EngineConnection:
    """The connection to the engine of one ticket; another program runs the engine."""

    def __init__(
        self,
        ticket: int,
        variant: VariantSpec,
        client: EngineClient,
        report: Callable[[ev.Event], None],
        clock: Clock,
        checks: HealthChecks | None = None,
    ) -> None:
        self.ticket = ticket
        self.client = client
        self.hooks = EngineHooks()
        self.pid: int | None = None
        self.started_at = clock.now()
        self.ready_at: float | None = None
        self.ended = ""
        self._label = variant.label
        self._variant = variant
        self._patience = variant.timeouts.health_check
        self._report = report
        self._clock = clock
        self._checks = checks or HealthChecks()
        self._stop = asyncio.Event()
        self._gone = asyncio.Event()

    def stop(self, *, save: bool = False) -> None:  # noqa: ARG002 - as of a process
        """Close its connections; EngineExited follows. Does nothing if called again."""
        self._stop.set()

    def kill(self) -> None:
        """Do the same as ``stop``: there is no process to kill."""
        self._stop.set()

    async def gone(self, within: float | None) -> bool:
        """Wait up to ``within`` seconds (None: no limit) for the end; return whether it came."""
        return await happens(self._gone, within)

    async def run(self) -> None:
        """Return once its connections are closed, however it ended; also when cancelled."""
        reason = "it was closed"
        tasks = TaskOwner(self._label)
        try:
            reason = await self._run(tasks)
        finally:
            self.ended = self.ended or reason
            try:
                await tasks.cancel()
                await self.client.close()
            finally:
                self._gone.set()
                self._report(ev.EngineExited(self.ticket, reason, self._clock.now()))

    async def _run(self, tasks: TaskOwner) -> str:
        """Return why it ended, when it must."""
        stop = tasks.spawn(self._stop.wait(), "stop")
        patience, key = self._patience, "health_check_timeout"
        if self._variant.wake:
            patience, key = self._variant.timeouts.startup, "engine_startup_timeout"
            tasks.spawn(self._wake(), "wake")
        ready = tasks.spawn(
            until_ready(self.client, self._clock, self.started_at, asyncio.Event()), "probe"
        )
        if not await first_of(stop, ready, timeout=patience):
            # The gateway does not start this engine, so there is nothing to wait for.
            return f"{self.client.url} did not say within {key} ({patience:g} s) that it is ready"
        if stop.done():
            return "it was closed"
        ready.result()
        self.ready_at = self._clock.now()
        _log.info("%s is ready at %s", self._label, self.client.url)
        self._report(ev.EngineReady(self.ticket, self.ready_at))
        if self._checks.interval:
            silent = tasks.spawn(
                until_unresponsive(self._label, self.client, self._checks, self._clock), "health"
            )
            await first_of(stop, silent)
            if not stop.done():
                self._give_up()
        await stop
        return self.ended or "it was closed"

    async def _wake(self) -> None:
        if await self.client.healthy():
            return
        _log.info("%s does not answer; it is woken", self._label)
        limit = self._variant.timeouts.startup
        if said := await run_command(self._variant, "wake", self._variant.wake, limit):
            _log.warning("%s was not woken: %s", self._label, said)

    def _give_up(self) -> None:
        self.ended = f"it failed its last {self._checks.failures} health checks"
        error = EngineUnresponsive(f"The engine {self._label} does not answer: {self.ended}.")
        _log.warning("%s is given up: %s", self._label, self.ended)
        self._report(ev.EngineUnhealthy(self.ticket, error, self._clock.now()))
