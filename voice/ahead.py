"""``ReadAhead``: the model reads what it will be asked while somebody still speaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from utils.tasks import TaskOwner
    from voice.models import Models


class ReadAhead:
    """Reads one prompt at a time; of those that come meanwhile, the newest is next."""

    def __init__(self, models: Models, tasks: TaskOwner) -> None:
        self._models = models
        self._tasks = tasks
        self._next: list[dict[str, Any]] | None = None
        self._last: list[dict[str, Any]] | None = None
        self._work: asyncio.Task[None] | None = None

    def begin(self, messages: list[dict[str, Any]] | None) -> None:
        """Read these messages, unless they were the last; None: nothing is known yet."""
        if messages is None or messages == self._last:
            return
        self._next = self._last = messages
        if self._work is None or self._work.done():
            self._work = self._tasks.spawn(self._read(), "read ahead")

    async def stop(self) -> None:
        """End it; return once it holds no engine any more."""
        work, self._work = self._work, None
        self._next = self._last = None
        if work is not None and not work.done():
            work.cancel()
            await asyncio.wait([work])

    async def _read(self) -> None:
        while (messages := self._next) is not None:
            self._next = None
            await self._models.read_ahead(messages)
