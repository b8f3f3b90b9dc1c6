"""When an engine without requests ends, and what replaces it. Pure.

1. It ends after its idle time: the ``keep_alive`` of the last request that set one for its model,
   or else the configured time. The time may be infinite.
2. Before that, a smaller variant replaces it if the last ``requests`` requests would all have fit
   the smaller one, and ``after`` seconds have passed without a request. It does not if the smaller
   one may not be started yet, and never with ``after`` 0.
   Neither happens to a model that an operator has pinned.
3. A ``keep_alive`` holds while the model is loaded, in whatever variant.
4. A larger variant replaces it at once if the conversation that it answered last will need the
   larger one (``grow_ahead``), no request waits, and there is room. A model has one engine at a
   time, so the larger one cannot load beside it; but its prompt cache is restored, and the next
   turn finds it ready.
5. The replacement starts after the other has ended; but not if requests wait then or want another
   variant, or if there is no room for it.

Between two looks nothing is due until the wake that was asked for, unless an idle engine waits for
its larger variant (rule 4). ``nothing_due`` and ``rests_after`` tell this without a look.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.planner import fits_now
from engine.scheduling.reasons import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.scheduling.engine_table import EngineRecord, EngineTable
    from engine.scheduling.policy import Policy


class IdleEngines:
    """How long idle models stay loaded, and which variants replace them."""

    def __init__(self, engines: EngineTable) -> None:
        self._engines = engines
        self._keep_alive: dict[str, float] = {}
        self._successors: dict[str, EngineRecord] = {}
        # The earliest wake that was asked for and has not come; infinite: none.
        self._wakes_at = inf
        # Whether an idle engine waits for its larger variant.
        self._outgrown = False

    def keep(self, model: str, seconds: float) -> None:
        """Keep the model for this number of seconds once it is idle, as a request wants."""
        self._keep_alive[model] = seconds

    def release(self, model: str) -> None:
        """Note that the model ends without a replacement, and forget its ``keep_alive``."""
        self._keep_alive.pop(model, None)

    def time_of(self, record: EngineRecord) -> float:
        """Return the seconds without a request after which the engine ends; infinite: never."""
        model = record.variant.model
        if model in self._engines.pinned:
            return inf
        return self._keep_alive.get(model, record.variant.timeouts.idle)

    def forget(self, model: str) -> None:
        """Plan no replacement for the model."""
        self._successors.pop(model, None)

    def retain(self, wanted: Callable[[EngineRecord], bool]) -> None:
        """Keep only the planned replacements that are ``wanted``."""
        self._successors = {m: each for m, each in self._successors.items() if wanted(each)}

    def woken(self) -> None:
        """Note that the wake has come."""
        self._wakes_at = inf

    def nothing_due(self, now: float) -> bool:
        """Return whether ``rest`` would change nothing, if no engine became idle meanwhile."""
        return now < self._wakes_at and not self._outgrown

    def rests_after(self, record: EngineRecord, policy: Policy, now: float) -> bool:
        """Return whether ``rest`` would change nothing if ``record`` became idle ``now``."""
        if record.ahead is not None or self._outgrown or now >= self._wakes_at:
            return False
        idle, after = self.time_of(record), policy.shrink_after
        if self._wakes_at <= now + min(idle, after or inf):
            return True
        records, requests = self._engines.records, policy.shrink_requests
        replaced = smaller_than(record, records, after=after, requests=requests) is not None
        return self._wakes_at <= now + idle and not replaced

    def rest(self, policy: Policy, now: float, out: list[ev.Effect], *, waited: bool) -> None:
        """Do what no request asks for: start replacements, end or shrink idle engines.

        ``waited`` says that requests wait: they go first, and a replacement may start later.
        """
        alive = self._engines.alive
        for model, successor in tuple(self._successors.items()):
            if model in alive:
                continue
            del self._successors[model]
            fits = not waited and fits_now(successor.variant, alive, self._engines.limits)
            if fits and now >= successor.retry_at:
                self._engines.start(successor, now, out)
        wake = inf
        self._outgrown = False
        for record in tuple(alive.values()):
            if record.state is State.READY and not record.busy:
                wake = min(wake, self._unload_or_replace(record, policy, now, out, waited=waited))
                pinned = record.variant.model in self._engines.pinned
                self._outgrown |= record.ahead is not None and not pinned
        if wake < inf:
            self._wakes_at = min(self._wakes_at, wake)
            out.append(ev.WakeAt(wake))

    def _unload_or_replace(
        self,
        record: EngineRecord,
        policy: Policy,
        now: float,
        out: list[ev.Effect],
        *,
        waited: bool,
    ) -> float:
        """Return when to check this idle engine again; infinite if time alone cannot end it."""
        model, after = record.variant.model, policy.shrink_after
        if model in self._engines.pinned:
            return inf
        records, requests = self._engines.records, policy.shrink_requests
        smaller = smaller_than(record, records, after=after, requests=requests)
        idle = self.time_of(record)
        end, successor = end_of(record, smaller, idle=idle, after=after, now=now)
        kind = "shrink"
        if now < end:
            successor = None if waited or record.ahead is None else self._larger(record, now)
            if successor is None:
                return end
            kind = "grow"
        if successor is None:
            self._engines.stop(record, out, Why("idle", more=f"{idle:g}"))
            self.release(model)
        else:
            self._engines.stop(record, out, Why(kind, successor.variant.label))
            self._successors[model] = successor
        return inf

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
    """Return the smaller variant of rule 2, or None."""
    if after <= 0 or len(record.needs) < requests:
        return None
    wanted = max(list(record.needs)[-requests:], key=lambda variant: variant.capacity)
    if wanted.capacity >= record.variant.capacity:
        return None
    return records[wanted.label]


def larger_ahead(
    record: EngineRecord, records: Mapping[str, EngineRecord], now: float
) -> EngineRecord | None:
    """Return the larger variant of rule 4, if it may start now, or None."""
    larger = None if record.ahead is None else records.get(record.ahead.label)
    return larger if larger is not None and now >= larger.retry_at else None


def end_of(
    record: EngineRecord, smaller: EngineRecord | None, *, idle: float, after: float, now: float
) -> tuple[float, EngineRecord | None]:
    """Return when the engine ends if it stays idle, and the variant that replaces it, if any."""
    idle_at = record.idle_since + idle
    if smaller is None or now >= idle_at:
        return idle_at, None
    shrink_at = max(record.idle_since + after, smaller.retry_at)
    return (shrink_at, smaller) if shrink_at < idle_at else (idle_at, None)
