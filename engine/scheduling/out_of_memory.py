"""What happens when an engine runs out of memory while it loads. Pure.

1. The first time, it starts again for the requests that wait for it, after every engine that may be
   evicted has ended (``Limits.alone``); it waits for busy ones.
2. If that fails too, it backs off as after any failed start, and at least ten times as long as the
   load took: little time goes into loads that do not fit. Each request for it moves to the next
   smaller variant that would do; a request without such a variant gets an error.
3. Until it has loaded once, later starts happen alone too, but each is the only try. A request that
   arrives during the back-off moves at once.
4. A request brings the list of smaller variants that would do: those that hold its prompt, and its
   answer if the client named a length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scheduling.backoff import LONGEST_DELAY
from utils.errors import EngineOutOfMemory

if TYPE_CHECKING:
    from engine.scheduling.queue import Waiting
    from engine.scheduling.records import EngineRecord

_RARELY = 10.0


def tried_again(record: EngineRecord) -> bool:
    """Return whether the failed start is repeated at once by rule 1."""
    return record.shortages == 1


def pause_after(seconds: float) -> float:
    """Return the seconds until the next try, after one that ran out of memory."""
    return min(LONGEST_DELAY, _RARELY * seconds)


def steps_down(waiting: Waiting) -> bool:
    """Let the request ask for its next smaller variant; return False if it has none."""
    if not waiting.fallbacks:
        return False
    waiting.minimum, *rest = waiting.fallbacks
    waiting.fallbacks = tuple(rest)
    return True


def out_of_memory(record: EngineRecord, retry_after: float) -> EngineOutOfMemory:
    """Return the error for requests without a smaller variant: what to change."""
    message = (
        f"The engine {record.variant.label} ran out of memory ({record.lacked}) while it loaded:"
        f" {record.reason}. Other idle engines made room, and it was not enough. {record.advice},"
        f" add a smaller variant, or end what else uses {record.lacked}."
    )
    return EngineOutOfMemory(message, retry_after)
