"""Work that can be done later makes room for requests that wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@asynccontextmanager
async def while_nobody_waits(on_wait: set[Callable[[], None]]) -> AsyncIterator[None]:
    """Cancel the block, and go on behind it, once a function in ``on_wait`` is called."""
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:

            def make_room() -> None:
                on_wait.discard(make_room)
                limit.reschedule(loop.time())

            on_wait.add(make_room)
            try:
                yield
            finally:
                on_wait.discard(make_room)
