"""Stop an engine: SIGTERM, wait, SIGKILL, reap; then end the rest of its process group."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from utils.logger import get_logger
from utils.tasks import first_of

if TYPE_CHECKING:
    from engine.process.spawn import Child
    from utils.clock import Clock

_log = get_logger("engine")

_LOOK_AGAIN = 0.01
# A killed process is gone at once, unless it is not reaped, as in a container without an init.
_KILLED_GRACE = 1.0


async def stop_and_reap(
    label: str, child: Child, exited: asyncio.Task[int], patience: float, clock: Clock
) -> int:
    """Stop the child and its group; return the exit status of the reaped child.

    ``exited`` waits for the child. The child has ``patience`` seconds to end by itself. A
    cancellation shortens the waits, but this never returns before the child is reaped.
    """
    if not exited.done():
        asked = clock.now()
        child.terminate()
        if await _within(exited, patience):
            # A wrapper script may have ended while the engine that it started is still ending.
            await _group_ends(child, asked + patience, clock)
        else:
            _log.warning("%s did not end within %g s", label, patience)
    child.kill()
    while not exited.done():
        await _within(exited, None)
    await _group_ends(child, clock.now() + _KILLED_GRACE, clock)
    return exited.result()


async def _group_ends(child: Child, deadline: float, clock: Clock) -> None:
    """Return when the group is empty, at ``deadline``, or when cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        while child.group_lives() and clock.now() < deadline:
            await clock.sleep(_LOOK_AGAIN)


async def _within(task: asyncio.Task[int], limit: float | None) -> bool:
    """Return whether the task ends within ``limit`` seconds; a cancellation only ends the wait."""
    try:
        return await first_of(task, timeout=limit)
    except asyncio.CancelledError:
        return task.done()
