"""When an engine that nobody uses ends, and what follows it. Pure.

1. It ends after its idle time: what the last request that named one asked for
   its model, else what is configured. It may be infinite.
2. Before that a smaller variant replaces it, when the last ``requests`` requests
   would all have fit that one and ``after`` seconds have passed without any; not
   before the smaller one may be started, and never with ``after`` 0.
3. A larger variant replaces it at once, when the conversation that it answered last will need
   that one (``grow_ahead``), nobody waits, and there is room: one engine of a model lives at a
   time, so the larger one cannot be loaded beside it, but the state is carried over, and the
   next turn finds it ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.records import EngineRecord


def smaller_than(
    record: EngineRecord,
    records: Mapping[tuple[str, int], EngineRecord],
    *,
    after: float,
    requests: int,
) -> EngineRecord | None:
    """The smaller variant that rule 2 speaks of, or None."""
    if after <= 0 or len(record.needs) < requests:
        return None
    wanted = max(list(record.needs)[-requests:])
    if wanted >= record.variant.context:
        return None
    return records[record.variant.model, wanted]


def larger_ahead(
    record: EngineRecord, records: Mapping[tuple[str, int], EngineRecord], now: float
) -> EngineRecord | None:
    """The larger variant that rule 3 speaks of, if it may be started now, or None."""
    larger = records.get((record.variant.model, record.ahead))
    return larger if larger is not None and now >= larger.retry_at else None


def end_of(
    record: EngineRecord, smaller: EngineRecord | None, *, idle: float, after: float, now: float
) -> tuple[float, EngineRecord | None]:
    """When the engine, idle, ends, and the one that replaces it then, if any."""
    idle_at = record.idle_since + idle
    if smaller is None or now >= idle_at:
        return idle_at, None
    shrink_at = max(record.idle_since + after, smaller.retry_at)
    return (shrink_at, smaller) if shrink_at < idle_at else (idle_at, None)
