"""The errors for requests that get no engine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scheduling.out_of_memory import out_of_memory
from utils.errors import EngineStartFailed, QueueFull

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.scheduling.records import EngineRecord
    from models.spec import VariantSpec

_LONGEST_WAIT = 60.0


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
