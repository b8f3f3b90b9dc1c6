"""Several sources of signs as one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def merged(*sources: AsyncGenerator[None, None]) -> AsyncGenerator[None, None]:
    """Yield as soon as one of the sources has, until all have ended.

    Signs that come together are one. An OSError of a source is raised.
    """
    woken = asyncio.Event()
    signs = 0
    tasks = TaskOwner("merged")

    async def follow(source: AsyncGenerator[None, None]) -> OSError | None:
        nonlocal signs
        try:
            async with aclosing(source):
                async for _ in source:
                    signs += 1
                    woken.set()
        except OSError as error:
            return error
        finally:
            woken.set()
        return None

    running = [tasks.spawn(follow(source), "source") for source in sources]
    try:
        while True:
            await woken.wait()
            woken.clear()
            if signs:
                # The last sign of a source that has ended counts, too.
                signs = 0
                yield
            for task in [task for task in running if task.done()]:
                running.remove(task)
                if (error := task.result()) is not None:
                    raise error
            if not running and not signs:
                return
    finally:
        await tasks.cancel()
