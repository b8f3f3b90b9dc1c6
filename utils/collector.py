"""Keep the garbage collector away from work that makes very many objects which stay."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside the block no garbage is collected; what exists at its end is never looked at again.

    A collection stops all threads. With the objects of thousands of models it would take a tenth
    of a second, inside the block and at its end. Objects outside cycles are freed as always.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
