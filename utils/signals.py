"""SIGINT and SIGTERM as plain calls on the event loop, on every platform."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def on_stop_signals(call: Callable[[], None]) -> Iterator[None]:
    """Inside the block each SIGINT or SIGTERM runs ``call`` on the loop; the old handlers return.

    ``signal.signal`` rather than ``loop.add_signal_handler``, which Windows lacks.
    """
    loop = asyncio.get_running_loop()

    def handler(_signum: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
