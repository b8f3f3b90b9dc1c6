"""The stop ladder: SIGTERM, wait, SIGKILL, reap; then what is left of the process group."""

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
# What was killed is gone at once, unless nobody reaps it, as in a container without an init.
_KILLED_GRACE = 1.0


async def stop_and_reap(
    label: str, child: Child, exited: asyncio.Task[int], patience: float, clock: Clock
) -> int:
    """The child is reaped and its group gone; its exit status, however it ended.

    ``exited`` waits for the child. It has ``patience`` seconds to end by itself. A cancellation
    shortens the waits, but never returns before the child is reaped.
    """
    if not exited.done():
        asked = clock.now()
        child.terminate()
        if await _within(exited, patience):
            # A wrapper script may be gone while the engine that it started still ends.
            await _group_ends(child, asked + patience, clock)
        else:
            _log.warning("%s did not end within %g s", label, patience)
    child.kill()
    while not exited.done():
        await _within(exited, None)
    await _group_ends(child, clock.now() + _KILLED_GRACE, clock)
    return exited.result()


async def _group_ends(child: Child, deadline: float, clock: Clock) -> None:
    """Return when nothing of the group is left, at ``deadline``, or when cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        while child.group_lives() and clock.now() < deadline:
            await clock.sleep(_LOOK_AGAIN)


async def _within(task: asyncio.Task[int], limit: float | None) -> bool:
    """Whether the task ends within ``limit`` seconds; a cancellation only ends the waiting."""
    try:
        return await first_of(task, timeout=limit)
    except asyncio.CancelledError:
        return task.done()
