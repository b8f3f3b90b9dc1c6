"""scheduler.py: ``admit`` and ``leave`` come to the same as ``handle``.

Two schedulers get the same random script. One takes the short way where it can, the other never
does. After each event their effects, their next wake and all that they know must be equal.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from builders import TIMEOUTS, variant

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.queue import Priority
from engine.scheduling.scheduler import EngineRecord, Limits, Policy, Scheduler
from models.spec import Timeouts, VariantSpec
from utils.errors import EngineUnresponsive

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER = Timeouts(health_check=5.0, startup=300.0, idle=inf, stop=10.0)
OLD: tuple[VariantSpec, ...] = (
    variant(4096, "a", parallel=3, needs={"gpu": 3}),
    variant(8192, "a", parallel=2, needs={"gpu": 5}),
    variant(16384, "a", needs={"gpu": 7}),
    variant(4096, "b", parallel=2, needs={"gpu": 3}, timeouts=NEVER),
    variant(4096, "c", parallel=2),
)
# After a change: the same definitions anew, one variant less and one with other slots.
NEW: tuple[VariantSpec, ...] = (
    variant(4096, "a", parallel=3, needs={"gpu": 3}),
    variant(16384, "a", parallel=2, needs={"gpu": 7}),
    variant(4096, "b", parallel=2, needs={"gpu": 3}, timeouts=NEVER),
    variant(4096, "c", parallel=1),
)
GPU = {"gpu": 10}
PLACES = (
    Limits(1, resources=GPU),
    Limits(3, resources=GPU),
    Limits(3, groups={"a": "g", "b": "h"}, pinned=frozenset({"c"}), resources=GPU),
)
POLICIES = (
    Policy(),
    Policy(3, 20.0, 1),
    Policy(64, 0.0, 2, max_switch_wait=20.0, min_residency=5.0),
)


class TwoWays:
    """Two schedulers; ``tell`` gives both the same event, and compares them."""

    def __init__(self, policy: Policy, limits: Limits) -> None:
        self.long = Scheduler(OLD, policy, limits)
        self.short = Scheduler(OLD, policy, limits)
        self.wakes_at = [inf, inf]
        # How many events went the short way, and how many there were.
        self.taken = self.told = 0

    def tell(self, event: ev.Event) -> list[ev.Effect]:
        """Return the effects of the event."""
        self.told += 1
        effects = self.long.handle(event)
        before = self.taken
        played = self._shortly(event)
        assert list(map(_said, _acts(effects))) == list(map(_said, _acts(played)))
        for side, these in enumerate((effects, played)):
            # As the manager does: the earliest wish counts until it has come.
            wishes = [each.when for each in these if isinstance(each, ev.WakeAt)]
            self.wakes_at[side] = min(self.wakes_at[side], *wishes, inf)
        assert self.wakes_at[0] == self.wakes_at[1]
        # A difference that another event makes lasts until one of these looks.
        if self.taken > before or self.told % 4 == 0:
            assert picture(self.long) == picture(self.short)
        return effects

    def woken(self) -> None:
        """Note that the wake has come."""
        self.wakes_at = [inf, inf]

    def _shortly(self, event: ev.Event) -> Sequence[ev.Effect]:
        if isinstance(event, ev.Arrived):
            record = self.short.admit(event)
            if record is not None:
                self.taken += 1
                return [ev.Grant(event.request, record.ticket)]
        if (
            isinstance(event, ev.Left)
            and event.ahead is None
            and self.short.leave(event.request, event.now)
        ):
            self.taken += 1
            return []
        # If it refused, it must have changed nothing.
        return self.short.handle(event)


class World:
    """Whatever may happen to engines and requests, at random; the plain things are frequent."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.both = TwoWays(dice.choice(POLICIES), dice.choice(PLACES))
        self.now = 0.0
        # The engines by ticket, and whether each is ready.
        self.engines: dict[int, bool] = {}
        self.held: list[int] = []
        self.waiting: list[int] = []
        self._configured = OLD
        self._numbers = 0

    def live(self, steps: int) -> None:
        """Let ``steps`` things happen."""
        happenings = {
            self.requests_arrive: 20,
            self.an_answer_ends: 40,
            self.engines_go_on: 30,
            self.time_passes: 10,
            self.a_request_returns: 1,
            self.a_client_leaves: 2,
            self.one_leaves_again: 1,
            self.an_engine_is_measured: 1,
            self.an_engine_exits: 0.5,
            self.an_engine_hangs: 0.3,
            self.the_configuration_changes: 0.5,
            self.an_operator_unloads: 0.3,
        }
        for happen in self._dice.choices([*happenings], [*happenings.values()], k=steps):
            happen()
        self.the_gateway_closes()
        for _ in range(20):
            self.an_answer_ends()
            self.engines_go_on()

    def tell(self, event: ev.Event) -> None:
        for effect in self.both.tell(event):
            match effect:
                case ev.StartEngine():
                    self.engines[effect.engine] = False
                case ev.Grant():
                    self.waiting.remove(effect.request)
                    self.held.append(effect.request)
                case ev.Refuse():
                    self.waiting.remove(effect.request)

    # -- requests ----------------------------------------------------------------------

    def requests_arrive(self) -> None:
        dice = self._dice
        running = [r.variant for r in self.both.long.records if r.useful]
        minimum = dice.choice(running if running and dice.random() < 0.9 else self._configured)
        if dice.random() < 0.05:
            # Chosen by an older or a newer configuration.
            minimum = dice.choice((*OLD, *NEW))
        smaller = [v for v in self._configured if v.model == minimum.model]
        smaller = [v for v in reversed(smaller) if v.capacity < minimum.capacity]
        for _ in range(dice.choice((1, 1, 1, 2))):
            self._numbers += 1
            self.waiting.append(self._numbers)
            self.tell(
                ev.Arrived(
                    self._numbers,
                    minimum,
                    fallbacks=tuple(smaller if dice.random() < 0.3 else ()),
                    client=dice.choice("xy"),
                    priority=dice.choice(tuple(Priority)),
                    keep_alive=dice.choice((*[None] * 8, 0.0, 50.0, inf)),
                    auxiliary=dice.random() < 0.2,
                    # A request may be made a little before it asks.
                    now=max(0.0, self.now - dice.choice((0.0, 0.0, 2.0))),
                )
            )

    def an_answer_ends(self) -> None:
        if self.held:
            request = self.held.pop(self._dice.randrange(len(self.held)))
            larger = self._dice.choice((*[None] * 12, OLD[1], OLD[2]))
            self.tell(ev.Left(request, self.now, ahead=larger))

    def a_client_leaves(self) -> None:
        if self.waiting:
            request = self.waiting.pop(self._dice.randrange(len(self.waiting)))
            self.tell(ev.Left(request, self.now))

    def one_leaves_again(self) -> None:
        request = self._dice.randint(1, self._numbers + 1)
        if request not in (*self.held, *self.waiting):
            self.tell(ev.Left(request, self.now))

    def a_request_returns(self) -> None:
        if self.held:
            request = self.held.pop(self._dice.randrange(len(self.held)))
            self.waiting.append(request)
            self.tell(ev.Returned(request, self._dice.choice(self._configured), self.now))

    # -- engines -----------------------------------------------------------------------

    def engines_go_on(self) -> None:
        """Starting engines become ready or run out of memory; those told to stop have ended."""
        for ticket in [ticket for ticket, ready in self.engines.items() if not ready]:
            if self._dice.random() < 0.1:
                self._exit(ticket)
                continue
            self.engines[ticket] = True
            self.tell(ev.EngineReady(ticket, self.now))
        records = self.both.long.records
        for record in [r for r in records if r.state in (State.STOPPING, State.ABORTING)]:
            if record.ticket in self.engines:
                self._exit(record.ticket)

    def an_engine_exits(self) -> None:
        if self.engines:
            self._exit(self._dice.choice([*self.engines]))

    def _exit(self, ticket: int) -> None:
        lacks = "" if self.engines.pop(ticket) else self._dice.choice(("", "gpu"))
        self.tell(ev.EngineExited(ticket, "gone", self.now, out_of_memory=lacks))

    def an_engine_hangs(self) -> None:
        if self.engines:
            ticket = self._dice.choice([*self.engines])
            self.tell(ev.EngineUnhealthy(ticket, EngineUnresponsive("it hangs"), self.now))

    def an_engine_is_measured(self) -> None:
        if self.engines:
            amounts = {"gpu": self._dice.randint(1, 8)}
            self.tell(ev.EngineMeasured(self._dice.choice([*self.engines]), amounts, self.now))

    # -- time, and operators -----------------------------------------------------------

    def time_passes(self) -> None:
        end = self.now + self._dice.choice((0.01, 0.5, 3.0, 30.0, 400.0))
        # A busy loop may be late: then requests come before a tick that is due.
        while self.both.wakes_at[0] <= end and self._dice.random() < 0.8:
            self.now = max(self.now, self.both.wakes_at[0])
            self.both.woken()
            self.tell(ev.Tick(self.now))
        self.now = end

    def the_configuration_changes(self) -> None:
        dice = self._dice
        self._configured = dice.choice((OLD, NEW))
        kept = dice.choice((frozenset(), frozenset({"a@4096", "b@4096"})))
        policy, limits = dice.choice(POLICIES), dice.choice(PLACES)
        self.tell(ev.Reconfigure(self._configured, kept, policy, limits, self.now))

    def an_operator_unloads(self) -> None:
        model, force = self._dice.choice(("a", "b", "c", None)), self._dice.random() < 0.5
        self.tell(ev.Unload(model, force=force, now=self.now))

    def the_gateway_closes(self) -> None:
        self.tell(self._dice.choice((ev.Drain, ev.Halt))(self.now))


def test_a_random_script_comes_to_the_same_both_ways(dice: random.Random) -> None:
    shortly = events = 0
    for _ in range(12):
        world = World(random.Random(dice.random()))
        world.live(400)
        shortly, events = shortly + world.both.taken, events + world.both.told
    assert shortly > events / 10, (shortly, events)


# -- the short way is taken, and left where it must be ----------------------------------------

PLAIN = (variant(4096, parallel=2), variant(8192, timeouts=TIMEOUTS))


def ready(*, policy: Policy | None = None, idle: bool = True) -> Scheduler:
    """Return a scheduler with one ready engine of two slots, that was used once."""
    scheduler = Scheduler(PLAIN, policy or Policy())
    scheduler.handle(ev.Arrived(1, PLAIN[0], 0.0))
    scheduler.handle(ev.EngineReady(1, 1.0))
    if idle:
        scheduler.handle(ev.Left(1, 2.0))
    return scheduler


def test_a_request_for_a_free_engine_needs_no_event() -> None:
    scheduler = ready()
    record = scheduler.admit(ev.Arrived(2, PLAIN[0], 3.0))
    assert record is not None
    assert record.active == {2}
    assert scheduler.admit(ev.Arrived(3, PLAIN[0], 3.0)) is record
    assert scheduler.leave(2, 4.0)
    assert scheduler.leave(3, 5.0)
    assert (record.active, record.idle_since, scheduler.changes()[2:]) == (set(), 5.0, [])


@pytest.mark.parametrize("idle", [10.0, inf])
def test_an_engine_that_never_ends_needs_no_wake(idle: float) -> None:
    only = variant(timeouts=Timeouts(health_check=5.0, startup=300.0, idle=idle, stop=10.0))
    scheduler = Scheduler([only], Policy())
    scheduler.handle(ev.Arrived(1, only, 0.0))
    scheduler.handle(ev.EngineReady(1, 1.0))
    # The first time a wake must be asked for, if there is an end.
    assert scheduler.leave(1, 2.0) is (idle == inf)


class TestHandleMustDecide:
    """``admit`` returns None, ``leave`` False."""

    def refused(self, scheduler: Scheduler, event: ev.Arrived) -> None:
        before = picture(scheduler)
        assert scheduler.admit(event) is None
        assert picture(scheduler) == before

    def test_while_nothing_runs_or_starts(self) -> None:
        scheduler = Scheduler(PLAIN, Policy())
        self.refused(scheduler, ev.Arrived(1, PLAIN[0], 0.0))
        scheduler.handle(ev.Arrived(1, PLAIN[0], 0.0))
        self.refused(scheduler, ev.Arrived(2, PLAIN[0], 0.0))

    def test_while_a_request_waits_or_every_slot_is_taken(self) -> None:
        scheduler = ready(idle=False)
        self.refused(scheduler, ev.Arrived(2, PLAIN[1], 3.0))
        assert scheduler.admit(ev.Arrived(2, PLAIN[0], 3.0)) is not None
        self.refused(scheduler, ev.Arrived(3, PLAIN[0], 3.0))
        scheduler.handle(ev.Arrived(3, PLAIN[0], 3.0))
        assert not scheduler.leave(1, 4.0)

    def test_when_something_is_due(self) -> None:
        scheduler = ready(policy=Policy(shrink_after=0.0))
        idle = TIMEOUTS.idle
        self.refused(scheduler, ev.Arrived(2, PLAIN[0], 2.0 + idle))
        scheduler.handle(ev.Arrived(2, PLAIN[0], 3.0, keep_alive=0.0))
        assert not scheduler.leave(2, 4.0), "it ends at once"

    def test_for_a_request_of_an_older_configuration(self) -> None:
        self.refused(ready(), ev.Arrived(2, variant(4096, parallel=2), 3.0))

    def test_when_memory_is_short_for_what_it_wants(self) -> None:
        small, middle, large = variant(4096), variant(8192), variant(16384)
        scheduler = Scheduler([small, middle, large], Policy())
        for request, now in ((1, 0.0), (2, 2.0)):
            scheduler.handle(ev.Arrived(request, middle, now))
            scheduler.handle(ev.EngineExited(request, "gone", now + 1, out_of_memory="gpu"))
        scheduler.handle(ev.Left(2, 3.0))
        scheduler.handle(ev.Arrived(3, large, 3.0))
        scheduler.handle(ev.EngineReady(3, 3.5))
        scheduler.handle(ev.Left(3, 3.5))
        self.refused(scheduler, ev.Arrived(4, middle, 3.6, fallbacks=(small,)))
        assert scheduler.admit(ev.Arrived(4, large, 3.6, fallbacks=(small,))) is not None

    def test_once_the_gateway_closes(self) -> None:
        scheduler = ready(idle=False)
        scheduler.handle(ev.Drain(3.0))
        self.refused(scheduler, ev.Arrived(2, PLAIN[0], 3.0))
        assert not scheduler.leave(1, 4.0)

    def test_when_a_conversation_will_need_the_larger_variant(self) -> None:
        scheduler = ready(idle=False)
        assert scheduler.admit(ev.Arrived(2, PLAIN[0], 3.0)) is not None
        scheduler.handle(ev.Left(1, 4.0, ahead=PLAIN[1]))
        assert not scheduler.leave(2, 5.0)


# -- what a scheduler knows ---------------------------------------------------------------------

_PLAIN = {int, float, str, bool, type(None)}


def picture(thing: object) -> list[object]:
    """Return all that the object knows, down to plain values that can be compared."""
    found: list[object] = []
    _paint(thing, found, {})
    return found


def _paint(thing: Any, found: list[object], seen: dict[int, int]) -> None:
    if type(thing) in _PLAIN or isinstance(thing, Enum):
        found.append(thing)
        return
    if isinstance(thing, VariantSpec):
        found.append(id(thing))
        return
    if isinstance(thing, set | frozenset):
        found.append(sorted(map(str, thing)))
        return
    # An object that is known in two places is painted once.
    known = seen.setdefault(id(thing), len(seen))
    if known < len(seen) - 1:
        found.append(("seen", known))
        return
    if isinstance(thing, dict):
        found.append(len(thing))
        parts = [part for pair in thing.items() for part in pair]
    elif isinstance(thing, list | tuple | deque):
        found.append(len(thing))
        parts = list(thing)
    elif is_dataclass(thing):
        parts = [getattr(thing, name) for name in _names(thing.__class__)]
    else:
        parts = list(vars(thing).values())
    for part in parts:
        if type(part) in _PLAIN:
            found.append(part)
        else:
            _paint(part, found, seen)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def _acts(effects: Sequence[ev.Effect]) -> list[ev.Effect]:
    return [effect for effect in effects if not isinstance(effect, ev.WakeAt)]


def _said(effect: ev.Effect) -> Any:
    return (repr(effect.error), effect.request) if isinstance(effect, ev.Refuse) else effect


def test_the_picture_shows_every_difference() -> None:
    one, other = ready(), ready()
    assert picture(one) == picture(other)
    record: EngineRecord = one.records[0]
    record.used_at += 1
    assert picture(one) != picture(other)
