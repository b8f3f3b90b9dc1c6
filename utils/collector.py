"""Large work in a thread beside an event loop: the loop must get its turns.

A collection of garbage stops all threads, so it must not meet many objects.

1. What exists when the gateway starts lives as long as it, so no collection looks at it.
2. Work that makes very many objects runs without collections, and no later one looks at these.
   Objects outside cycles are freed as always.
3. A thread that makes many short system calls pauses now and then, see ``give_way``.
4. Very many objects that end together are freed a few at a time, see ``let_go``.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


# Seconds that a thread may hold up the others.
_TURN = 0.0005
# Seconds of such work between two pauses, and of a pause.
_WORK, _PAUSE = 0.001, 0.00005
# So many objects are freed at once: some tenths of a millisecond.
_SLICE = 100
# So many new objects take a collection some tenths of a millisecond.
_MANY = 2_000
# How many new objects start a collection. It is rarely needed: requests leave few cycles.
_COLLECT_EVERY = 20_000


class _Blocks:
    """How many blocks of ``uncollected`` are open, and what was set before the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = 0
        self.enabled = True
        self.turn = 0.0


class _Since(threading.local):
    """When this thread paused last."""

    at = 0.0


_blocks, _since = _Blocks(), _Since()


def give_way() -> None:
    """Pause if other threads should have a turn; call it beside each of many system calls.

    With each call a thread gives up its turn and has it again before a waiting thread wakes, which
    then waits anew: so the event loop could wait for long. Outside of ``uncollected`` it does
    nothing.
    """
    now = time.monotonic()
    if _blocks.open and now - _since.at > _WORK:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(_PAUSE)
        _since.at = time.monotonic()


def let_go(*lists: list[Any]) -> None:
    """Empty the lists a few objects at a time.

    Objects that only a list holds are freed with it at once, and other threads wait meanwhile.
    """
    for each in lists:
        while each:
            del each[-_SLICE:]


def settle() -> None:
    """Apply rule 1; from now on a collection follows many new objects only."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside the block rule 2 holds, and threads take turns more often.

    Several blocks may be open at a time.
    """
    with _blocks.lock:
        if not _blocks.open:
            _blocks.enabled, _blocks.turn = gc.isenabled(), sys.getswitchinterval()
            gc.disable()
            # The event loop waits less for its own turn.
            sys.setswitchinterval(min(_TURN, _blocks.turn))
        _blocks.open += 1
    try:
        yield
    finally:
        with _blocks.lock:
            _blocks.open -= 1
            if gc.get_count()[0] > _MANY:
                gc.freeze()
            if not _blocks.open:
                sys.setswitchinterval(_blocks.turn)
                if _blocks.enabled:
                    gc.enable()
