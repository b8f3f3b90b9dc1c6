"""Signals as plain calls on the event loop: SIGINT and SIGTERM everywhere, SIGHUP where it is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType


@contextmanager
def on_stop_signals(call: Callable[[], None]) -> Iterator[None]:
    """Inside the block each SIGINT or SIGTERM runs ``call`` on the loop; the old handlers return.

    ``signal.signal`` rather than ``loop.add_signal_handler``, which Windows lacks.
    """
    with _handled((signal.SIGINT, signal.SIGTERM), call):
        yield


@contextmanager
def on_hangup(asked: Callable[[], None], lost: Callable[[], None]) -> Iterator[None]:
    """Inside the block SIGHUP runs ``asked``, or ``lost`` when it came as the terminal closed.

    Whoever closes a window means to end what runs in it, unless nohup says otherwise.
    Windows has no such signal.
    """
    if sys.platform == "win32":
        yield
        return
    # Read before a handler is set: SIG_IGN is what nohup leaves.
    attached = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def call() -> None:
        (lost if attached and not _has_terminal() else asked)()

    with _handled((signal.SIGHUP,), call):
        yield


@contextmanager
def _handled(numbers: Sequence[signal.Signals], call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def handler(_signum: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)

    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)


def _has_terminal() -> bool:
    """Whether the process is attached to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
