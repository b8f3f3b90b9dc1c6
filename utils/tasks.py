"""The only place that creates tasks. Each task has a name and an owner; its failure is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")
_log = logging.getLogger("gateway.tasks")


class TaskOwner:
    """Holds its tasks until they end, so that none is garbage-collected before."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run the coroutine as a task of this owner. If it fails, the exception is logged."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self, seconds: float) -> None:
        """Return once all tasks of now have ended, or after ``seconds``."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)

    async def cancel(self) -> None:
        """Cancel every task, and return once all have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=error)


async def all_or_nothing(
    making: Coroutine[Any, Any, _T], undo: Callable[[_T], Coroutine[Any, Any, None]]
) -> _T:
    """Return what ``making`` returns, or raise what it raises.

    If this is cancelled, ``making`` goes on to its end, and ``undo`` of its result too, before
    CancelledError is raised.
    """
    loop = asyncio.get_running_loop()
    made = loop.create_task(making)

    async def undone() -> None:
        await undo(await made)

    try:
        return await asyncio.shield(made)
    except asyncio.CancelledError:
        undoing = loop.create_task(undone())
        while not undoing.done():
            # Another cancellation changes nothing.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([undoing])
        if (error := undoing.exception()) is not None:
            _log.debug("what was cancelled had failed: %r", error)
        raise


async def first_of(*tasks: asyncio.Future[Any], timeout: float | None = None) -> bool:  # noqa: ASYNC109 - one wait with a limit, no cancel scope
    """Return True once any task has ended, or False after ``timeout`` seconds.

    Unlike ``wait_for`` it cancels nothing, so a result that comes together with the timeout is
    not lost.
    """
    done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def happens(event: asyncio.Event, within: float | None) -> bool:
    """Wait up to ``within`` seconds for the event (None: without limit); return if it is set."""
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False
