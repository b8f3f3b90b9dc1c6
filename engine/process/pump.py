"""Read the output of an engine, and pass it to all readers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.process.log_tail import LogTail
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import LogReader
    from engine.process.spawn import Child


class EngineOutput:
    """The lines of one run of one engine.

    ``tail`` keeps the last lines; ``stirred`` is set at each line. While ``loads`` is true, until
    the engine is ready, ``reader`` reads each line. ``heard`` gets all lines, ``loading`` the
    percentage when the engine reports it.
    """

    def __init__(
        self,
        label: str,
        reader: LogReader,
        heard: Callable[[str], None] | None = None,
        loading: Callable[[float], None] | None = None,
    ) -> None:
        self.tail = LogTail()
        self.stirred = asyncio.Event()
        self.loads = True
        self._log = get_logger(f"engine.{label}")
        self._reader = reader
        self._heard = heard
        self._loading = loading

    async def read(self, child: Child) -> None:
        """Return at the end of the child's output."""
        async for line in child.lines():
            if self._reader.is_protocol(line):
                percent = self._reader.percent(line)
                if percent is not None and self._loading is not None:
                    self._loading(percent)
                continue
            self.tail.append(line)
            if self.loads:
                self._reader.read(line)
            self.stirred.set()
            if self._heard is not None:
                self._heard(line)
            # An operator follows a load; lines about single requests help only to find a fault.
            self._log.log(logging.INFO if self.loads else logging.DEBUG, "%s", line)
