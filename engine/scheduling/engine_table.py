"""The table of engines: their records, states and limits. Pure.

1. Each variant has a record. Only the table of ``lifecycle.py`` changes a state, and every change
   is kept until it is asked for.
2. Each run of an engine has its own ticket. Reports of an ended run change nothing.
3. The limits change with what is learnt of engines: what they hold, and which must run alone.
4. After a change of the configuration, an engine without a configured variant is *retired*: it is
   shown, and counts with its address and its needs, until it has ended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from math import exp2
from typing import TYPE_CHECKING

from engine.observer import Changed
from engine.scheduling import events as ev
from engine.scheduling.failures import delay_after, gives_up, pause_after, tried_again
from engine.scheduling.lifecycle import Event, State, advance
from engine.scheduling.reconfigure import equivalent, limits_after, surplus, without

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from engine.scheduling.eviction import Limits
    from engine.scheduling.reasons import Why
    from models.spec import VariantSpec


HALF_LIFE = 600.0


# Compared by identity: comparing their fields would take most of a decision's time.
@dataclass(slots=True, eq=False)
class EngineRecord:
    """What the scheduler knows of one variant's engine.

    * ``memory``: what the running engine holds; ``takes``: what it takes of ``server.resources``.
      Both in bytes.
    * ``shortages``: the loads in a row that ran out of memory, the last time of ``lacked``;
      ``advice`` says what to change.
    * ``ahead``: the variant that the last conversation will need next; None if this one will do.
    * ``why``: the reason for the planned end of its run; None if there is none.
    * ``active``: the requests that take a slot; ``auxiliary``: those that take none.
    * ``unused``: true from a start until the first request of either kind.
    """

    variant: VariantSpec
    state: State = State.STOPPED
    ticket: int = 0
    active: set[int] = field(default_factory=set)
    auxiliary: set[int] = field(default_factory=set)
    unused: bool = True
    idle_since: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    needs: deque[VariantSpec] = field(default_factory=deque)
    used_at: float = 0.0
    started_at: float = 0.0
    ready_at: float = 0.0
    ended_at: float = 0.0
    load_seconds: float = 0.0
    uses: float = 0.0
    memory: Mapping[str, int] = field(default_factory=dict)
    takes: Mapping[str, int] = field(default_factory=dict)
    shortages: int = 0
    lacked: str = ""
    advice: str = ""
    ahead: VariantSpec | None = None
    why: Why | None = None

    def use(self, now: float) -> None:
        """Count another request; older uses count half as much after each ``HALF_LIFE``."""
        self.uses = 1.0 + self.uses * exp2((self.used_at - now) / HALF_LIFE)
        self.used_at = now

    def worth(self, now: float) -> float:
        """Return what an eviction would cost: much if it is often used and slow to load."""
        return self.load_seconds * self.uses * exp2((self.used_at - now) / HALF_LIFE)

    def loaded_until(self, now: float) -> float:
        """Return when its last start ended, ready or failed; ``now`` if it has not yet."""
        if self.ready_at >= self.started_at:
            return self.ready_at
        return now if self.state.live else self.ended_at

    @property
    def serving(self) -> set[int]:
        """The requests that hold the engine, with and without a slot."""
        return self.active | self.auxiliary

    @property
    def busy(self) -> bool:
        """Whether a request holds the engine, so that it must not be stopped."""
        return bool(self.active or self.auxiliary)

    @property
    def useful(self) -> bool:
        """Whether the engine serves requests, or will, without a change."""
        return self.state in (State.STARTING, State.READY)

    def serves(self, minimum: VariantSpec) -> bool:
        """Return whether this variant can serve a request that needs ``minimum``."""
        return self.variant.model == minimum.model and self.variant.capacity >= minimum.capacity


@dataclass(frozen=True, slots=True)
class Reconfiguration:
    """The records of another configuration, for a table that still has those of ``before``.

    A record of before stays where its variant is kept; those of ``adjusted`` variants get the
    definition that is there.
    """

    before: Mapping[str, EngineRecord]
    records: dict[str, EngineRecord]
    adjusted: tuple[VariantSpec, ...]


class EngineTable:
    """Every engine's record. The only owner of engine states.

    ``records`` are those of the configured variants, by label. ``alive`` are those whose process
    may exist, by model. ``limits`` are the present ones, with all that was learnt. ``loads`` are
    the known load times of engines in seconds, by label.
    """

    def __init__(
        self,
        variants: Iterable[VariantSpec],
        limits: Limits,
        loads: Mapping[str, float] | None = None,
    ) -> None:
        self.limits = limits
        self.records = {v.label: EngineRecord(v, takes=limits.takes(v)) for v in variants}
        self._loaded_before(loads or {})
        self.alive: dict[str, EngineRecord] = {}
        self._given = limits
        self._runs: dict[int, EngineRecord] = {}
        # The retired engines of rule 4, and their addresses.
        self._retired: dict[int, tuple[EngineRecord, str | None]] = {}
        self._moves: list[tuple[EngineRecord, State, State]] = []
        self._tickets = 0
        # The models that an operator has pinned.
        self.pinned: frozenset[str] = frozenset()

    # -- what there is ---------------------------------------------------------------

    @property
    def all(self) -> tuple[EngineRecord, ...]:
        """The record of every configured variant; then the retired ones."""
        return (*self.records.values(), *(record for record, _ in self._retired.values()))

    def run(self, ticket: int) -> EngineRecord | None:
        """Return the record of the run with this ticket, or None after the run."""
        return self._runs.get(ticket)

    def variant(self, ticket: int) -> VariantSpec:
        """Return the variant of this ticket, as it is defined now; KeyError after its run."""
        return self._runs[ticket].variant

    def configured(self, record: EngineRecord) -> bool:
        """Return whether it is the record of a configured variant."""
        return self.records.get(record.variant.label) is record

    def latest(self, minimum: VariantSpec) -> EngineRecord | None:
        """Return the record of the engine that started last, of those that serve ``minimum``."""
        serving = [r for r in self.records.values() if r.ticket and r.serves(minimum)]
        return max(serving, key=lambda record: record.ticket, default=None)

    def changes(self) -> list[Changed]:
        """Return the engines that changed since the last call, in order."""
        if not self._moves:
            return []
        moves, self._moves = self._moves, []
        return [
            Changed(r.ticket, r.variant, old, new, r.reason, r.load_seconds, r.why)
            for r, old, new in moves
        ]

    # -- what becomes of one ---------------------------------------------------------

    def move(self, record: EngineRecord, event: Event) -> None:
        """Move the record to the next state."""
        before = record.state
        record.state = advance(record.variant.label, before, event)
        self._moves.append((record, before, record.state))
        model = record.variant.model
        if record.state.live:
            self.alive[model] = record
        elif self.alive.get(model) is record:
            del self.alive[model]

    def start(self, record: EngineRecord, now: float, out: list[ev.Effect]) -> None:
        """Start the engine, with a new ticket."""
        self.move(record, Event.RETRY if record.state is State.BACKOFF else Event.START)
        self._tickets += 1
        record.ticket = self._tickets
        record.used_at = record.started_at = now
        record.ahead = record.why = None
        record.unused = True
        self._runs[record.ticket] = record
        out.append(ev.StartEngine(record.ticket, record.variant))

    def pin(self, models: frozenset[str]) -> None:
        """Keep these models, beside those that the configuration pins."""
        self.pinned = models
        self.limits = replace(self.limits, pinned=self._given.pinned | models)

    def stop(self, record: EngineRecord, out: list[ev.Effect], why: Why | None = None) -> None:
        """Stop the engine, in any state."""
        if record.state is not State.STOPPING:
            record.why = record.why or why
            self.move(record, Event.STOP)
            out.append(ev.StopEngine(record.ticket))

    def ready(self, event: ev.EngineReady) -> None:
        """Note that a starting engine is ready."""
        record = self._runs.get(event.engine)
        if record is None or record.state is not State.STARTING:
            return
        self.move(record, Event.HEALTHY)
        record.failures = 0
        record.reason = ""
        record.idle_since = record.ready_at = event.now
        record.load_seconds = event.now - record.started_at
        self._starved(record, "")

    def unhealthy(self, record: EngineRecord, reason: str) -> None:
        """Note that the engine must stop for this reason."""
        if record.state is State.STARTING:
            self._starved(record, "")
        self.move(record, Event.UNHEALTHY)
        record.reason = reason

    def measured(self, ticket: int, amounts: Mapping[str, int]) -> None:
        """Note what the engine holds; this counts as long as it is configured."""
        record = self._runs.get(ticket)
        if record is not None:
            record.memory = amounts
            self.limits = self.limits.learning(record.variant, amounts)
            record.takes = self.limits.takes(record.variant)

    def exited(self, event: ev.EngineExited) -> EngineRecord | None:
        """End the run. Return its record if a start failed, for the requests that wait for it."""
        record = self._runs.pop(event.engine, None)
        if record is None:
            return None
        before = record.state
        record.ended_at = event.now
        if self._retired.pop(event.engine, None) is not None:
            label = record.variant.label
            self.limits = without(label, self.limits, self._given, self._retired.values())
        self.move(record, Event.EXITED)
        record.active.clear()
        record.auxiliary.clear()
        record.needs.clear()
        record.memory = {}
        if record.state is not State.BACKOFF:
            return None
        if before is not State.ABORTING:
            record.reason = event.reason
        if before is State.STARTING:
            record.advice = event.advice
            self._starved(record, event.out_of_memory)
            if tried_again(record):
                record.retry_at = event.now
                return None
        record.failures += before in (State.STARTING, State.ABORTING)
        pause = pause_after(event.now - record.started_at) if record.shortages else 0.0
        record.retry_at = event.now + max(pause, delay_after(record.failures))
        if gives_up(record.failures):
            self.move(record, Event.GIVE_UP)
        return record if before is State.STARTING else None

    def _starved(self, record: EngineRecord, lacked: str) -> None:
        record.shortages = record.shortages + 1 if lacked else 0
        record.lacked = lacked
        self.limits = self.limits.leaving_alone(record.variant, starved=bool(lacked))

    # -- what becomes of all ---------------------------------------------------------

    def _loaded_before(self, loads: Mapping[str, float]) -> None:
        for label, seconds in loads.items():
            record = self.records[label]
            record.load_seconds = record.load_seconds or seconds

    def reconfigure(self, event: ev.Reconfigure) -> list[EngineRecord]:
        """Apply other variants and limits; return the engines that must end for them."""
        self._given = event.limits
        made = event.prepared
        if made is None or made.before is not self.records:
            made = reconfiguration(self.records, event.variants, event.kept, event.limits)
        self.records = applied(made)
        self._loaded_before(event.loads)
        for record in self.alive.values():
            if not self.configured(record) and record.ticket not in self._retired:
                address = self.limits.addresses.get(record.variant.label)
                self._retired[record.ticket] = record, address
        retired = self._retired.values()
        resources = self.limits.resources
        self.limits = limits_after(self.limits, event.limits, event.kept, retired)
        self.pin(self.pinned & {variant.model for variant in event.variants})
        # Machines may have very many models, of which most have not changed.
        touched = [variant.label for variant in made.adjusted]
        touched += [r.variant.label for r, _ in retired if r.variant.label in self.records]
        for label in touched if self.limits.resources == resources else self.records:
            record = self.records[label]
            record.takes = self.limits.takes(record.variant)
        useful = [each for each in self.alive.values() if each.useful]
        configured = [each for each in useful if self.configured(each)]
        too_many = surplus(configured, self.limits)
        return [each for each in useful if each in too_many or each not in configured]


def reconfiguration(
    records: Mapping[str, EngineRecord],
    variants: Iterable[VariantSpec],
    kept: Collection[str],
    limits: Limits,
) -> Reconfiguration:
    """Return a record for each variant: the old one if its label is ``kept``, else a new one.

    No old record is changed, so a thread may do it beside the scheduler.
    """
    after: dict[str, EngineRecord] = {}
    adjusted = []
    for variant in variants:
        label = variant.label
        record = records.get(label) if label in kept else None
        if record is None:
            record = EngineRecord(variant, takes=limits.takes(variant))
        elif record.variant is not variant:
            adjusted.append(variant)
        after[label] = record
    return Reconfiguration(records, after, tuple(adjusted))


def applied(made: Reconfiguration) -> dict[str, EngineRecord]:
    """Return the records of the reconfiguration, with the definitions of their variants."""
    after = made.records
    for variant in made.adjusted:
        after[variant.label].variant = variant
    for record in after.values():
        if record.needs:
            needs = [equivalent(after, wanted) for wanted in record.needs]
            record.needs = deque(each for each in needs if each is not None)
    return after
