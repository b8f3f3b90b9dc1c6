"""What follows when an engine cannot start, and the errors for requests that get no engine. Pure.

After a failed start:

1. The next request starts the engine again at once after the first failure, since most causes are
   singular. From the second failure on the back-off doubles, so that a broken configuration does
   not keep the machine busy. A later start is always possible.

When an engine runs out of memory while it loads:

2. The first time, it starts again for the requests that wait for it, after every engine that may be
   evicted has ended (``Limits.alone``); it waits for busy ones.
3. If that fails too, it backs off as by rule 1, and at least ten times as long as the load took:
   little time goes into loads that do not fit. Each request for it moves to the next smaller
   variant that would do; a request without such a variant gets an error.
4. Until it has loaded once, later starts happen alone too, but each is the only try. A request that
   arrives during the back-off moves at once.
5. A request brings the list of smaller variants that would do: those that hold its prompt, and its
   answer if the client named a length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from utils.errors import EngineOutOfMemory, EngineStartFailed, QueueFull

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.scheduling.engine_table import EngineRecord
    from engine.scheduling.queue import Waiting
    from models.spec import VariantSpec

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
GIVE_UP_AFTER = 5
_LONGEST_WAIT = 60.0
_RARELY = 10.0


def delay_after(failures: int) -> float:
    """Return the seconds until the next start, after this number of failed starts in a row."""
    if failures <= 1:
        return 0.0
    if gives_up(failures):
        return LONGEST_DELAY
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 2))


def gives_up(failures: int) -> bool:
    """Return whether the engine counts as failed, not as waiting for its next start."""
    return failures >= GIVE_UP_AFTER


def tried_again(record: EngineRecord) -> bool:
    """Return whether the failed start is repeated at once by rule 2."""
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


def start_failed(record: EngineRecord, now: float) -> EngineStartFailed:
    """Return the error for a failed start; the next one comes after the back-off."""
    left = max(0.0, record.retry_at - now)
    if record.shortages:
        return out_of_memory(record, left)
    message = f"The engine {record.variant.label} did not start: {record.reason}"
    return EngineStartFailed(message, left)


def no_room(wanted: VariantSpec, kept: Iterable[VariantSpec]) -> EngineStartFailed:
    """Return the error for an engine without room beside the ``kept`` ones."""
    names = ", ".join(variant.label for variant in kept)
    beside = f" beside {names}" if names else ""
    return EngineStartFailed(f"There is no room for the engine {wanted.label}{beside}.")


def queue_full(
    others: int,
    loading: Collection[EngineRecord],
    coming: Iterable[EngineRecord],
    pace: float,
    now: float,
) -> QueueFull:
    """Return the error for a full queue, with an estimate for ``Retry-After``.

    ``others`` wait already; each holds an engine for about ``pace`` seconds. For some of them
    ``coming`` engines must be loaded, after those that are ``loading``.
    """
    # Known from their last loads, if any.
    load = max([0.0, *(r.started_at + r.load_seconds - now for r in loading)])
    load += sum(record.load_seconds for record in coming)
    wait = min(_LONGEST_WAIT, max(1.0, load + pace * others))
    names = " and ".join(each.variant.label for each in loading)
    loads = f" while {names} {'loads' if len(loading) == 1 else 'load'}" if loading else ""
    message = f"{others} requests are waiting already{loads}."
    return QueueFull(f"{message} Try again later.", wait)


def out_of_memory(record: EngineRecord, retry_after: float) -> EngineOutOfMemory:
    """Return the error for requests without a smaller variant: what to change."""
    message = (
        f"The engine {record.variant.label} ran out of memory ({record.lacked}) while it loaded:"
        f" {record.reason}. Other idle engines made room, and it was not enough. {record.advice},"
        f" add a smaller variant, or end what else uses {record.lacked}."
    )
    return EngineOutOfMemory(message, retry_after)
