"""Find out which flags for slots an engine has, from its ``--help``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.process.spawn import spawn

if TYPE_CHECKING:
    from engine.base import Launch
    from engine.process.spawn import Child

SAVE_PATH = "--slot-save-path"
CACHE_RAM = "--cache-ram"
NO_CACHE_IDLE = "--no-cache-idle-slots"
_ASKED_FOR = frozenset({SAVE_PATH, CACHE_RAM, NO_CACHE_IDLE})
_PATIENCE = 10.0


class FlagProbe:
    """Knows which binaries have which flags for slots.

    It runs each binary once, and again when the binary changes; once more after a timeout.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], frozenset[str]] = {}
        self._late: set[tuple[str, int, int]] = set()

    async def of(self, launch: Launch) -> frozenset[str]:
        """Return the flags that the engine of ``launch`` has; empty if its help names none."""
        try:
            status = await asyncio.to_thread(Path(launch.argv[0]).stat)
        except OSError:
            return frozenset()
        key = (launch.argv[0], status.st_size, status.st_mtime_ns)
        if key not in self._known:
            said, whole = await _asked(replace(launch, argv=(launch.argv[0], "--help")))
            if not whole and key not in self._late:
                # The machine may have been busy; the next run may show more.
                self._late.add(key)
                return said
            self._known[key] = said
        return self._known[key]


async def _asked(launch: Launch) -> tuple[frozenset[str], bool]:
    """Return the flags in the output, and whether it was complete."""
    try:
        child = await spawn(launch)
    except OSError:
        return frozenset(), True
    found: set[str] = set()
    whole = False
    try:
        async with asyncio.timeout(_PATIENCE):
            await _mentioned(child, found)
            whole = True
    except TimeoutError:
        pass
    finally:
        child.kill()
        await _reaped(child)
        child.close()
    return frozenset(found), whole


async def _mentioned(child: Child, found: set[str]) -> None:
    async for line in child.lines():
        found |= _ASKED_FOR.intersection(line.replace(",", " ").split())
        if found == _ASKED_FOR:
            return


async def _reaped(child: Child) -> None:
    # The child is killed already, so this is quick; the shield keeps a cancellation from leaving
    # a zombie.
    await asyncio.shield(child.wait())
