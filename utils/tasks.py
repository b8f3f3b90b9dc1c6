"""The only place that creates tasks: each has a name, an owner, and a failure that is logged."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")
_log = logging.getLogger("gateway.tasks")


class TaskOwner:
    """Holds tasks until they end, so that none is lost, forgotten or collected half-way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """The coroutine runs as a task of this owner; an exception nobody awaits is logged."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self) -> None:
        """Every task is cancelled and has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=error)


async def first_of(*tasks: asyncio.Future[Any], timeout: float | None = None) -> bool:  # noqa: ASYNC109 - one wait with a limit, no cancel scope
    """Return once any task has ended (True) or ``timeout`` seconds have passed (False).

    Unlike ``wait_for`` it cancels nothing, so a result that arrives together with
    the time-out is never thrown away.
    """
    done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def happens(event: asyncio.Event, within: float | None) -> bool:
    """Whether the event is set, waiting ``within`` seconds for it; None: until it is."""
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False
