"""``ProcessPool``: the processes of engines, from the command line to the reaped exit.

The manager decides which variant runs under which ticket. The pool knows its port, its environment
and its helpers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.process.connection import EngineConnection
from engine.process.engine_process import EngineProcess
from engine.process.orphans import OWNER_VARIABLE, OrphanRegistry
from engine.process.ports import PortClaim
from engine.process.slots import Slots
from engine.scheduling import events as ev
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import EngineRun
    from engine.process.health import HealthChecks
    from engine.resources.memory import Memory
    from engine.types import EngineTypes
    from models.spec import ModelSpec, VariantSpec
    from utils.clock import Clock


@dataclass(slots=True)
class Launching:
    """The configuration of all engines that start from now on."""

    port_range: tuple[int, int] | None = None
    checks: HealthChecks | None = None


class ProcessPool:
    """The processes that exist: ``runs``, by their tickets.

    ``report`` gets the reports of each ``EngineProcess``. An exited process is removed before its
    report.
    """

    def __init__(
        self,
        clock: Clock,
        registry: OrphanRegistry,
        memory: Memory,
        report: Callable[[ev.Event], None],
        types: EngineTypes,
    ) -> None:
        self.launching = Launching()
        self.slots = Slots()
        self._clock = clock
        self._registry = registry
        self._memory = memory
        self._types = types
        self._report = report
        self._tasks = TaskOwner("engines")
        self.runs: dict[int, EngineRun] = {}
        self._claims: dict[int, PortClaim] = {}
        self._quiet = asyncio.Event()
        self._quiet.set()

    def get(self, ticket: int) -> EngineRun | None:
        """Return the process of that run, or None after its end."""
        return self.runs.get(ticket)

    def start(
        self,
        ticket: int,
        variant: VariantSpec,
        model: ModelSpec,
        *,
        heard: Callable[[str], None],
        loading: Callable[[float], None],
    ) -> None:
        """Start an engine of ``variant``. Raises OSError if there is no free port.

        ``heard`` gets each line of its output, ``loading`` how much of it is loaded, in percent.
        """
        engine = self._types.of(variant)
        address = engine.address(variant, model.connect)
        port, claim = (0, None) if address else self._port_for(model)
        url = address or f"http://127.0.0.1:{port}"
        launch = engine.launch(variant, url, os.environ)
        client = engine.client(variant, url)
        run: EngineRun
        if launch is None:
            checks = self.launching.checks
            run = EngineConnection(ticket, variant, client, self._told, self._clock, checks)
        else:
            ours = {OWNER_VARIABLE: self._registry.owner, "LLM_GATEWAY_PYTHON": sys.executable}
            reader = engine.log_reader(variant, os.environ)
            run = EngineProcess(
                ticket,
                replace(launch, env={**launch.env, **ours}),
                client,
                variant.timeouts,
                self._told,
                self._clock,
                self._registry,
                self._memory.engine(variant, reader),
                self.launching.checks,
                hooks=engine.hooks(variant, client),
                reader=reader,
                heard=heard,
                loading=loading,
            )
        self.runs[ticket] = run
        if claim is not None:
            self._claims[ticket] = claim
        self._quiet.clear()
        self._tasks.spawn(run.run(), variant.label)

    async def over(self) -> None:
        """Wait until no process is left."""
        await self._quiet.wait()

    def kill(self) -> None:
        """Send SIGKILL to every process group now; each is reaped and reported as usual."""
        for process in self.runs.values():
            process.kill()

    def _told(self, event: ev.Event) -> None:
        if isinstance(event, ev.EngineExited):
            self.runs.pop(event.engine, None)
            if (claim := self._claims.pop(event.engine, None)) is not None:
                claim.release()
            if not self.runs:
                self._quiet.set()
        self._report(event)

    def _port_for(self, model: ModelSpec) -> tuple[int, PortClaim | None]:
        # An engine that has just been started may not listen yet.
        taken = {urlsplit(process.client.url).port or 0 for process in self.runs.values()}
        if self.slots.ports:
            able = self._types.capabilities(model)
            if (port := self.slots.port_for(model.name, able, taken)) is not None:
                return port, None
        claim = PortClaim(self.launching.port_range, {*taken, *self.slots.ports})
        return claim.port, claim
