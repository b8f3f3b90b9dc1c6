"""Signals as calls on the event loop: SIGINT, SIGTERM, and SIGHUP where the system has it."""

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
    """Inside the block, run ``call`` on the loop for each SIGINT or SIGTERM; then restore.

    Uses ``signal.signal``, because Windows has no ``loop.add_signal_handler``.
    """
    with _handled((signal.SIGINT, signal.SIGTERM), call):
        yield


@contextmanager
def on_hangup(asked: Callable[[], None], lost: Callable[[], None]) -> Iterator[None]:
    """Inside the block, run ``asked`` for SIGHUP, or ``lost`` if the terminal was closed.

    A user who closes a terminal wants to end what runs in it, except under nohup.
    Windows has no SIGHUP; there this does nothing.
    """
    if sys.platform == "win32":
        yield
        return
    # Check this before a handler is set: nohup sets SIG_IGN.
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
    """Return whether the process has a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
