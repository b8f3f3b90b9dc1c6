"""What follows when an engine runs out of memory while it loads. Pure.

1. The first time it is tried again at once for those who wait for it, after every engine that
   may go has gone (``Limits.alone``); busy ones are waited for.
2. When that fails as well, it backs off as after any failed start, and for ten times as long as
   the load took at least: little time is spent on what will not fit. Each request that asked for
   it moves to the next smaller variant that would do for it; those that have none are told.
3. Until it was loaded once, later starts are made alone as well, but each is the only try. A
   request that comes while it backs off moves at once.
4. Which smaller variants would do is said with the request: those that hold its prompt, and
   its answer where the client named a length.
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
    """Whether the start that has just failed by lack of memory is repeated at once by rule 1."""
    return record.shortages == 1


def pause_after(seconds: float) -> float:
    """Seconds until the next try after one that ran out of memory within ``seconds``."""
    return min(LONGEST_DELAY, _RARELY * seconds)


def steps_down(waiting: Waiting) -> bool:
    """Whether the request asks for its next smaller variant now; False: it has none."""
    if not waiting.fallbacks:
        return False
    waiting.minimum, *rest = waiting.fallbacks
    waiting.fallbacks = tuple(rest)
    return True


def out_of_memory(record: EngineRecord, retry_after: float) -> EngineOutOfMemory:
    """The error for those whom nothing smaller can serve: what lacked, and what to change."""
    message = (
        f"The engine {record.variant.label} ran out of memory ({record.lacked}) while it loaded:"
        f" {record.reason}. Other idle engines made room, and it was not enough. {record.advice},"
        f" add a smaller variant, or end what else uses {record.lacked}."
    )
    return EngineOutOfMemory(message, retry_after)
