"""Whether an engine can save its slots: it says so in its own help."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.spawner import spawn

if TYPE_CHECKING:
    from engine.spawner import Child, Launch

SAVE_PATH = "--slot-save-path"
_PATIENCE = 10.0


class SlotSupport:
    """Knows which binaries take ``--slot-save-path``; each is asked once, until it changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], bool] = {}

    async def of(self, launch: Launch) -> bool:
        """Whether the engine of ``launch`` can save slots; False where it does not say."""
        try:
            status = await asyncio.to_thread(Path(launch.argv[0]).stat)
        except OSError:
            return False
        key = (launch.argv[0], status.st_size, status.st_mtime_ns)
        if key not in self._known:
            self._known[key] = await _asked(replace(launch, argv=(launch.argv[0], "--help")))
        return self._known[key]


async def _asked(launch: Launch) -> bool:
    try:
        child = await spawn(launch)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _mentions(child)
    except TimeoutError:
        return False
    finally:
        child.kill()
        await _reaped(child)
        child.close()


async def _mentions(child: Child) -> bool:
    async for line in child.lines():
        if SAVE_PATH in line.split():
            return True
    return False


async def _reaped(child: Child) -> None:
    # Killed already: this takes no time, and no cancellation may leave a zombie.
    await asyncio.shield(child.wait())
