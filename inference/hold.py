"""Keep the engines of several models loaded for a while.

1. It takes all of them or none, and only engines that are ready while no request waits. It takes no
   slot: others go on to use them. Only their room is not given to other models.
2. It ends after ``_LONGEST``, so that who waits for the room waits for a bounded time.
3. It ends at once when a request of the holder itself has to wait: the room may be needed for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.lease import Lease
    from engine.manager import EngineManager
    from models.spec import ModelSpec

# Seconds.
_LONGEST = 60.0


class Hold:
    """Engines that stay. ``own`` tells whether a request, by its number, is the holder's."""

    def __init__(self, own: Callable[[int], bool]) -> None:
        self._own = own
        self._leases: list[Lease] = []
        self._end: asyncio.TimerHandle | None = None

    def take(self, manager: EngineManager, models: Iterable[ModelSpec], client: str) -> bool:
        """Hold the engines of these models in the name of ``client``; return whether it does.

        What is held already stays so, until its time is over.
        """
        if self._leases:
            return True
        for model in models:
            lease = manager.lease(model.variants[0], client, auxiliary=True)
            if not lease.at_once():
                self.release()
                return False
            lease.give_way(self._waits)
            self._leases.append(lease)
        self._end = asyncio.get_running_loop().call_later(_LONGEST, self.release)
        return True

    def release(self) -> None:
        """Hold nothing any more. Does nothing if called again."""
        leases, self._leases = self._leases, []
        for lease in leases:
            lease.leave()
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _waits(self, request: int) -> None:
        if self._own(request):
            self.release()
