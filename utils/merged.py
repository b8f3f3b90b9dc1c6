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
    said = asyncio.Event()
    tasks = TaskOwner("merged")

    async def follow(source: AsyncGenerator[None, None]) -> OSError | None:
        try:
            async with aclosing(source):
                async for _ in source:
                    said.set()
        except OSError as error:
            return error
        finally:
            said.set()
        return None

    running = [tasks.spawn(follow(source), "source") for source in sources]
    try:
        while True:
            await said.wait()
            said.clear()
            ended = [task for task in running if task.done()]
            for task in ended:
                running.remove(task)
                if (error := task.result()) is not None:
                    raise error
            if not ended:
                yield
            elif not running:
                return
    finally:
        await tasks.cancel()
