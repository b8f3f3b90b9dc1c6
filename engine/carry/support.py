"""What an engine can do with its slots: it says so in its own help."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.spawner import spawn

if TYPE_CHECKING:
    from engine.spawner import Child, Launch

SAVE_PATH = "--slot-save-path"
CACHE_RAM = "--cache-ram"
NO_CACHE_IDLE = "--no-cache-idle-slots"
_ASKED_FOR = frozenset({SAVE_PATH, CACHE_RAM, NO_CACHE_IDLE})
_PATIENCE = 10.0


class SlotSupport:
    """Knows which binaries take which flags for slots; each is asked once, until it changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], frozenset[str]] = {}

    async def of(self, launch: Launch) -> frozenset[str]:
        """The flags that the engine of ``launch`` takes; none where it does not say."""
        try:
            status = await asyncio.to_thread(Path(launch.argv[0]).stat)
        except OSError:
            return frozenset()
        key = (launch.argv[0], status.st_size, status.st_mtime_ns)
        if key not in self._known:
            self._known[key] = await _asked(replace(launch, argv=(launch.argv[0], "--help")))
        return self._known[key]


async def _asked(launch: Launch) -> frozenset[str]:
    try:
        child = await spawn(launch)
    except OSError:
        return frozenset()
    found: set[str] = set()
    try:
        async with asyncio.timeout(_PATIENCE):
            await _mentioned(child, found)
    except TimeoutError:
        pass
    finally:
        child.kill()
        await _reaped(child)
        child.close()
    return frozenset(found)


async def _mentioned(child: Child, found: set[str]) -> None:
    async for line in child.lines():
        found |= _ASKED_FOR.intersection(line.replace(",", " ").split())
        if found == _ASKED_FOR:
            return


async def _reaped(child: Child) -> None:
    # Killed already: this takes no time, and no cancellation may leave a zombie.
    await asyncio.shield(child.wait())
