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
# So many new objects are worth a look less at each of them.
_MANY = 50_000


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside the block no garbage is collected, and threads take turns more often.

    A collection stops all threads. With the objects of thousands of models it would take a tenth
    of a second, inside the block and at its end: if the block has made very many, what exists then
    is never looked at again. Objects outside cycles are freed as always.
    """
    enabled, turn = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    # The event loop waits less for its own turn.
    sys.setswitchinterval(min(_TURN, turn))
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if gc.get_count()[0] > _MANY:
            gc.freeze()
        if enabled:
            gc.enable()
