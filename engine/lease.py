"""The leases of requests on engines: requested, granted, refused and given back."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING, Self

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
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

    def at_once(self) -> bool:
        """Return whether the engine is held now, without a wait; it is entered then."""
        return self._leases.at_once(self)

    async def enter(self) -> None:
        """Wait until the engine is held; after an error nothing is held or waited for."""
        if self.at_once():
            return
        try:
            await self._leases.wait(self, self.asked)
        except BaseException:
            self._leases.leave(self)
            raise

    async def __aexit__(self, *_error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the slot back. Does nothing if called again."""
        self._leases.leave(self)

    def give_way(self, end: Callable[[int], object]) -> None:
        """Call ``end`` with the number of each other request that has to wait, while it is held."""
        self._leases.give_way(self, end)

    def waits_for(self) -> str:
        """Return what it waits for, in a few words: its turn or a load; "" if it does not wait."""
        return self._leases.waits_for(self)

    @property
    def client(self) -> EngineClient:
        """The client of the engine."""
        return self.engine.client


class Leases:
    """Every lease that waits for an engine or holds one.

    ``feed`` takes their events; ``grant`` and ``refuse`` are the replies. ``runs`` are the engines
    by their tickets.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        feed: Callable[[ev.Event], None],
        runs: Mapping[int, EngineRun],
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._feed = feed
        self._runs = runs
        self._open: dict[int, tuple[Lease, asyncio.Future[None]]] = {}
        # Who holds an engine and is told who waits.
        self._yielding: dict[int, Callable[[int], object]] = {}

    def granted_at_once(self, lease: Lease) -> bool:
        """Return whether the lease is held without a wait; else give it up.

        Raises the error with which it was refused.
        """
        if self.at_once(lease):
            return True
        granted = self._ask(lease, lease.asked)
        if granted.done() and granted.exception() is None:
            return True
        lease.leave()
        if granted.done():
            granted.result()
        return False

    def at_once(self, lease: Lease) -> bool:
        """Return whether the lease is held now, because the engine is free and no request waits.

        It comes to the same as ``wait``, but without an event: no other request and no observer
        would see a change.
        """
        record = self._scheduler.admit(lease.asked)
        if record is None:
            return False
        lease.engine, lease.variant = self._runs[record.ticket], record.variant
        return True

    def leave(self, lease: Lease) -> None:
        """Remove the request: it holds nothing and waits for nothing any more."""
        self._open.pop(lease.request, None)
        self._yielding.pop(lease.request, None)
        now = self._clock.now()
        if lease.ahead is not None or not self._scheduler.leave(lease.request, now):
            self._feed(ev.Left(lease.request, now, ahead=lease.ahead))

    def give_way(self, lease: Lease, end: Callable[[int], object]) -> None:
        """Call ``end`` with the number of each other request that has to wait."""
        self._yielding[lease.request] = end

    async def again(self, lease: Lease, minimum: VariantSpec) -> None:
        """Exchange the lease for one on ``minimum``, without losing the request's turn.

        This is for the move to a larger variant, and for another try after the engine failed. If
        the engine does not say that it is healthy, its exit is awaited, so that the dead engine is
        not granted again.
        """
        if minimum is lease.minimum and not await lease.client.healthy():
            await lease.engine.gone(_EXIT_NOTICE)
        lease.minimum = minimum
        now = self._clock.now()
        lease.arrived = now
        await self.wait(lease, ev.Returned(lease.request, minimum, now))

    async def wait(self, lease: Lease, event: ev.Arrived | ev.Returned) -> None:
        """Wait until the lease has an engine, and add the waiting time to it."""
        granted = self._ask(lease, event)
        try:
            await granted
        except (GatewayError, asyncio.CancelledError):
            # Refused or gone: what it waited for may have failed, or go on without it.
            record = self._scheduler.latest(lease.minimum)
            loaded = record.loaded_until(self._clock.now()) if record else 0.0
            self._account(lease, record.started_at if record else 0.0, loaded)
            raise
        self._account(lease, lease.engine.started_at, lease.engine.ready_at or 0.0)

    def _account(self, lease: Lease, started_at: float, loaded_at: float) -> None:
        waited = self._clock.now() - lease.arrived
        load = max(0.0, min(waited, loaded_at - max(started_at, lease.arrived)))
        lease.loading += load
        lease.queued += waited - load

    def waits_for(self, lease: Lease) -> str:
        """Return what the request waits for, in a few words; "" if it does not wait."""
        if lease.request not in self._scheduler.waiting:
            return ""
        record = self._scheduler.live(lease.minimum.model)
        if record is None or record.state is not State.STARTING:
            return "queued"
        if not (lease.asked.auxiliary or record.serves(lease.minimum)):
            return "queued"
        progress = expected(record.load_seconds, self._clock.now() - record.started_at)
        return f"loading {record.variant.label}{progress}"

    def _ask(self, lease: Lease, event: ev.Arrived | ev.Returned) -> asyncio.Future[None]:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open[lease.request] = (lease, granted)
        self._feed(event)
        if self._yielding and not granted.done():
            for end in tuple(self._yielding.values()):
                end(lease.request)
        return granted

    def grant(self, request: int, engine: EngineRun, variant: VariantSpec) -> None:
        """Give the engine to the lease."""
        lease, granted = self._open[request]
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
        _, granted = self._open[request]
        if not granted.done():
            granted.set_exception(error)


def expected(load: float, elapsed: float) -> str:
    """Return how far a load is, by the duration of the last one; "" if it takes longer than that.

    Both are seconds.
    """
    if elapsed >= load:
        return ""
    return f", {100 * elapsed / load:.0f} %, {ceil(load - elapsed)} s left"
