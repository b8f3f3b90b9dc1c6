"""Work that makes very many objects which stay, in a thread beside an event loop that serves."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


# Seconds that a thread may hold up the others.
_TURN = 0.0005


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside the block no garbage is collected; what exists at its end is never looked at again.

    A collection stops all threads. With the objects of thousands of models it would take a tenth
    of a second, inside the block and at its end. Objects outside cycles are freed as always.
    Threads take turns more often inside the block: the event loop waits less for its own.
    """
    enabled, turn = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(min(_TURN, turn))
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.freeze()
        if enabled:
            gc.enable()
