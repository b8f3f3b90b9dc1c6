"""Check an engine from outside: whether it is ready, still answers, and makes progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.process.health import HealthChecks, Pulse, StallWatch
from utils.logger import get_logger
from utils.tasks import happens

if TYPE_CHECKING:
    import asyncio

    from engine.client import EngineClient
    from utils.clock import Clock

_log = get_logger("engine")

# Probes are frequent at first, since small models load quickly, and become less frequent. After a
# line of the engine comes one at once, but none sooner than _SOONEST_PROBE after the last.
_SOONEST_PROBE = 0.01
_FIRST_PROBE = 0.03
_SLOWEST_PROBE = 0.1
_PROBE_SHARE = 0.04
# A stall is looked for so often, in seconds, and at least so many times within its limit.
_STALL_LOOK = 10.0
_STALL_LOOKS = 5


async def until_ready(
    client: EngineClient, clock: Clock, started_at: float, stirred: asyncio.Event
) -> None:
    """Return when the engine, spawned at ``started_at``, says that it is ready.

    ``stirred`` is set for each line that it prints, and is cleared here.
    """
    listens = False
    while not (listens := listens or client.listens()) or not await client.healthy():
        interval = _interval_after(clock.now() - started_at)
        await clock.sleep(_SOONEST_PROBE)
        stirred.clear()
        # An engine that has just become ready says so; the next probe need not wait.
        await happens(stirred, interval - _SOONEST_PROBE)


async def until_unresponsive(
    label: str, client: EngineClient, checks: HealthChecks, clock: Clock
) -> None:
    """Return when a ready engine has failed too many health checks in a row."""
    pulse, pause = Pulse(checks), checks.interval
    while True:
        await clock.sleep(pause)
        began = clock.now()
        healthy = await client.healthy()
        if pulse.unresponsive(healthy=healthy, heard=client.heard):
            return
        if pulse.failed:
            _log.warning("%s failed a health check, %d in a row", label, pulse.failed)
        pause = max(0.0, began + checks.interval - clock.now())


async def until_stalled(client: EngineClient, limit: float, clock: Clock) -> None:
    """Return when the engine's requests have made no progress for ``limit`` seconds."""
    watch = StallWatch(limit, clock.now())
    # An engine that hangs later may not tell its counters any more; so it is asked once before.
    counters = await client.counters()
    answered = client.answered
    while not watch.stalled(
        clock.now(), active=client.active, answered=client.answered, counters=counters
    ):
        answered = client.answered
        await clock.sleep(min(_STALL_LOOK, limit / _STALL_LOOKS))
        if client.active and client.answered == answered:
            counters = await client.counters()


def _interval_after(elapsed: float) -> float:
    """Return the seconds until the next readiness probe, ``elapsed`` after the spawn."""
    return min(_SLOWEST_PROBE, max(_FIRST_PROBE, elapsed * _PROBE_SHARE))
