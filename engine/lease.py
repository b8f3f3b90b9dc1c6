"""The leases of requests on engines: requested, granted, refused and given back."""

from __future__ import annotations

import asyncio
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Self

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.queue import Priority
from utils.errors import GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.base import EngineRun
    from engine.client import EngineClient
    from engine.scheduling.scheduler import Scheduler
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("manager")
# Seconds to wait for the exit: a broken connection is noticed before the exit of a dead engine.
_EXIT_NOTICE = 1.0


class Lease:
    """A request's lease on an engine, and the seconds that it waited for it.

    ``queued`` is the time for its turn and a free slot, ``loading`` the time while its engine
    started. Both are known, however the wait ended.

    Inside its block the request holds an engine that serves ``minimum``. Entering waits in the
    queue and for the engine's start, and raises QueueFull, ShuttingDown, EngineStartFailed or
    EngineStartTimeout. Every exit gives the slot back, synchronously, so that no cancellation can
    lose it.
    """

    engine: EngineRun
    variant: VariantSpec

    def __init__(self, leases: Leases, asked: ev.Arrived) -> None:
        self.request = asked.request
        self.minimum = asked.minimum
        self.arrived = asked.now
        self.queued = 0.0
        self.loading = 0.0
        # The larger variant that its conversation will need next, if that is to be loaded early.
        self.ahead: VariantSpec | None = None
        self._leases = leases
        self.asked = asked

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.leave()

    def at_once(self) -> bool:
        """Hold the engine now, if it is free and no request waits; return whether it is held.

        It comes to the same as ``enter``, but without an event: no other request and no observer
        would see a change.
        """
        leases = self._leases
        record = leases.scheduler.admit(self.asked)
        if record is None:
            return False
        self.engine, self.variant = leases.runs[record.ticket], record.variant
        return True

    def visit(self) -> bool:
        """Hold the engine now, or give up; return whether it is held.

        Raises the error with which the request was refused.
        """
        if self.at_once():
            return True
        granted = self._ask(self.asked)
        if granted.done() and granted.exception() is None:
            return True
        self.leave()
        if granted.done():
            granted.result()
        return False

    async def enter(self) -> None:
        """Wait until the engine is held; after an error nothing is held or waited for."""
        if self.at_once():
            return
        try:
            await self._wait(self.asked)
        except BaseException:
            self.leave()
            raise

    async def again(self, minimum: VariantSpec) -> None:
        """Exchange the engine for one that serves ``minimum``, without losing the request's turn.

        This is for the move to a larger variant, and for another try after the engine failed. If
        the engine does not say that it is healthy, its exit is awaited, so that the dead engine is
        not granted again.
        """
        if minimum is self.minimum and not await self.engine.client.healthy():
            await self.engine.gone(_EXIT_NOTICE)
        self.minimum = minimum
        now = self._leases.clock.now()
        self.arrived = now
        await self._wait(ev.Returned(self.request, minimum, now))

    def leave(self) -> None:
        """Hold nothing and wait for nothing any more. Does nothing if called again."""
        leases = self._leases
        leases.open.pop(self.request, None)
        leases.yielding.pop(self.request, None)
        now = leases.clock.now()
        if self.ahead is not None or not leases.scheduler.leave(self.request, now):
            leases.feed(ev.Left(self.request, now, ahead=self.ahead))

    def give_way(self, end: Callable[[int], object]) -> None:
        """Call ``end`` with the number of each other request that has to wait, while it is held."""
        self._leases.yielding[self.request] = end

    def waits_for(self) -> str:
        """Return what it waits for, in a few words: its turn or a load; "" if it does not wait."""
        scheduler, minimum = self._leases.scheduler, self.minimum
        if self.request not in scheduler.waiting:
            return ""
        record = scheduler.live(minimum.model)
        if record is None or record.state is not State.STARTING:
            return "queued"
        if not (self.asked.auxiliary or record.serves(minimum)):
            return "queued"
        elapsed = self._leases.clock.now() - record.started_at
        return f"loading {record.variant.label}{expected(record.load_seconds, elapsed)}"

    @property
    def client(self) -> EngineClient:
        """The client of the engine."""
        return self.engine.client

    async def _wait(self, event: ev.Arrived | ev.Returned) -> None:
        """Wait until it has an engine, and add the waiting time to it."""
        granted, leases = self._ask(event), self._leases
        try:
            await granted
        except (GatewayError, asyncio.CancelledError):
            # Refused or gone: what it waited for may have failed, or go on without it.
            record = leases.scheduler.latest(self.minimum)
            loaded = record.loaded_until(leases.clock.now()) if record else 0.0
            self._account(record.started_at if record else 0.0, loaded)
            raise
        self._account(self.engine.started_at, self.engine.ready_at or 0.0)

    def _account(self, started_at: float, loaded_at: float) -> None:
        waited = self._leases.clock.now() - self.arrived
        load = max(0.0, min(waited, loaded_at - max(started_at, self.arrived)))
        self.loading += load
        self.queued += waited - load

    def _ask(self, event: ev.Arrived | ev.Returned) -> asyncio.Future[None]:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leases = self._leases
        leases.open[self.request] = (self, granted)
        leases.feed(event)
        if leases.yielding and not granted.done():
            for end in tuple(leases.yielding.values()):
                end(self.request)
        return granted


class Leases:
    """Every lease that waits for an engine or holds one.

    ``feed`` takes their events; ``grant`` and ``refuse`` are the replies. ``runs`` are the engines
    by their tickets. ``open`` are the leases that asked by an event, by their requests, and
    ``yielding`` what those who hold an engine do when another request has to wait.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        feed: Callable[[ev.Event], None],
        runs: Mapping[int, EngineRun],
    ) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self.feed = feed
        self.runs = runs
        self.open: dict[int, tuple[Lease, asyncio.Future[None]]] = {}
        self.yielding: dict[int, Callable[[int], object]] = {}
        # The requests; later ones have larger numbers.
        self._numbers = count(1)

    def lease(
        self,
        minimum: VariantSpec,
        client: str = "",
        priority: Priority = Priority.NORMAL,
        keep_alive: float | None = None,
        fallbacks: tuple[VariantSpec, ...] = (),
        *,
        auxiliary: bool = False,
    ) -> Lease:
        """Return a lease, to be entered, on an engine that serves ``minimum``.

        Clients take turns. ``keep_alive`` is the number of seconds that the model stays loaded
        after its last request, if this request sets it. If the memory is too small for ``minimum``,
        the lease holds the first of ``fallbacks`` that can be loaded.

        An ``auxiliary`` request takes no context (to count tokens, to apply a template). It holds
        any ready engine of the model at once, even beyond ``parallel``. If none runs, it waits for
        one that starts, and ``minimum`` is started for it.
        """
        asked = ev.Arrived(
            next(self._numbers),
            minimum,
            self.clock.now(),
            fallbacks=fallbacks,
            client=client,
            priority=priority,
            keep_alive=keep_alive,
            auxiliary=auxiliary,
        )
        return Lease(self, asked)

    def grant(self, request: int, engine: EngineRun, variant: VariantSpec) -> None:
        """Give the engine to the lease."""
        lease, granted = self.open[request]
        lease.engine = engine
        lease.variant = variant
        smaller = lease.variant.capacity < lease.minimum.capacity
        if smaller and not lease.asked.auxiliary:
            wanted, got = lease.minimum.label, lease.variant.label
            _log.warning("%s runs out of memory: %s serves instead", wanted, got)
            lease.minimum = lease.variant
        # Done means its client has just left; Left follows and gives the place back.
        if not granted.done():
            granted.set_result(None)

    def refuse(self, request: int, error: GatewayError) -> None:
        """Raise the error where the lease is awaited."""
        _, granted = self.open[request]
        if not granted.done():
            granted.set_exception(error)


def expected(load: float, elapsed: float) -> str:
    """Return how far a load is, by the duration of the last one; "" if it takes longer than that.

    Both are seconds.
    """
    if elapsed >= load:
        return ""
    return f", {100 * elapsed / load:.0f} %, {ceil(load - elapsed)} s left"
