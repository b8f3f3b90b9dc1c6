"""When an engine that nobody uses ends, and what follows it. Pure.

1. It ends after its idle time: what the last request that named one asked for
   its model, else what is configured. It may be infinite.
2. Before that a smaller variant replaces it, when the last ``requests`` requests
   would all have fit that one and ``after`` seconds have passed without any; not
   before the smaller one may be started, and never with ``after`` 0.
3. What a request asked for holds while the model is loaded, in whatever variant.
4. A larger variant replaces it at once, when the conversation that it answered last will need
   that one (``grow_ahead``), nobody waits, and there is room: one engine of a model lives at a
   time, so the larger one cannot be loaded beside it, but the state is carried over, and the
   next turn finds it ready.
5. The variant that follows starts once the other has ended; not if requests wait then, or want
   another, nor if there is no room for it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.planner import fits_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.scheduling.engine_table import EngineTable
    from engine.scheduling.policy import Policy
    from engine.scheduling.records import EngineRecord


class IdleEngines:
    """How long models stay loaded that nobody uses, and which variants follow."""

    def __init__(self, engines: EngineTable) -> None:
        self._engines = engines
        self._keep_alive: dict[str, float] = {}
        self._successors: dict[str, EngineRecord] = {}

    def keep(self, model: str, seconds: float) -> None:
        """A request wants the model to stay that long, once idle."""
        self._keep_alive[model] = seconds

    def release(self, model: str) -> None:
        """The model ends, and no variant of it follows: what requests wanted holds no more."""
        self._keep_alive.pop(model, None)

    def time_of(self, record: EngineRecord) -> float:
        """After so many seconds without a request the engine ends; infinite: never."""
        return self._keep_alive.get(record.variant.model, record.variant.timeouts.idle)

    def forget(self, model: str) -> None:
        """No variant of the model is to follow."""
        self._successors.pop(model, None)

    def retain(self, wanted: Callable[[EngineRecord], bool]) -> None:
        """Only those that are ``wanted`` are to follow."""
        self._successors = {m: each for m, each in self._successors.items() if wanted(each)}

    def rest(self, policy: Policy, now: float, out: list[ev.Effect], *, waited: bool) -> None:
        """What is done for nobody: successors start, idle engines end or shrink.

        ``waited`` says that requests wait: they come first, and may start a successor later.
        """
        alive = self._engines.alive
        for model in [model for model in self._successors if model not in alive]:
            successor = self._successors.pop(model)
            fits = not waited and fits_now(successor.variant, alive, self._engines.limits)
            if fits and now >= successor.retry_at:
                self._engines.start(successor, now, out)
        ends = (
            self._unload_or_replace(each, policy, now, out, waited=waited)
            for each in alive.values()
        )
        if wakes := [end for end in ends if end is not None]:
            out.append(ev.WakeAt(min(wakes)))

    def _unload_or_replace(
        self,
        record: EngineRecord,
        policy: Policy,
        now: float,
        out: list[ev.Effect],
        *,
        waited: bool,
    ) -> float | None:
        """When to look at the engine again, if only time can bring its end."""
        if record.state is not State.READY or record.busy:
            return None
        model, after = record.variant.model, policy.shrink_after
        records, requests = self._engines.records, policy.shrink_requests
        smaller = smaller_than(record, records, after=after, requests=requests)
        idle = self.time_of(record)
        end, successor = end_of(record, smaller, idle=idle, after=after, now=now)
        if now < end:
            successor = None if waited else self._larger(record, now)
            if successor is None:
                return end if end < inf else None
        self._engines.stop(record, out)
        if successor is None:
            self.release(model)
        else:
            self._successors[model] = successor
        return None

    def _larger(self, record: EngineRecord, now: float) -> EngineRecord | None:
        larger = larger_ahead(record, self._engines.records, now)
        if larger is None:
            return None
        others = {m: each for m, each in self._engines.alive.items() if each is not record}
        return larger if fits_now(larger.variant, others, self._engines.limits) else None


def smaller_than(
    record: EngineRecord,
    records: Mapping[str, EngineRecord],
    *,
    after: float,
    requests: int,
) -> EngineRecord | None:
    """The smaller variant that rule 2 speaks of, or None."""
    if after <= 0 or len(record.needs) < requests:
        return None
    wanted = max(list(record.needs)[-requests:], key=lambda variant: variant.capacity)
    if wanted.capacity >= record.variant.capacity:
        return None
    return records[wanted.label]


def larger_ahead(
    record: EngineRecord, records: Mapping[str, EngineRecord], now: float
) -> EngineRecord | None:
    """The larger variant that rule 4 speaks of, if it may be started now, or None."""
    larger = None if record.ahead is None else records.get(record.ahead.label)
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
