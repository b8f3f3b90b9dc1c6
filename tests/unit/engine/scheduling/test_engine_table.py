"""engine_table.py: engines' records, their states, and the limits they live within."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import variant

from engine.scheduling import events as fx
from engine.scheduling.backoff import FIRST_DELAY, GIVE_UP_AFTER, LONGEST_DELAY
from engine.scheduling.engine_table import Fleet
from engine.scheduling.eviction import Limits
from engine.scheduling.lifecycle import Event, State
from engine.scheduling.policy import Policy

if TYPE_CHECKING:
    from engine.scheduling.records import EngineRecord

SMALL, LARGE, OTHER = variant(4096, "a"), variant(8192, "a"), variant(4096, "b")
LIMITS = Limits(max_loaded=3, resources={"gpu": 100}, addresses={SMALL.label: "localhost:1"})


def fleet_of() -> tuple[Fleet, EngineRecord]:
    """A fleet of the three, and the small one's record."""
    fleet = Fleet((SMALL, LARGE, OTHER), LIMITS)
    return fleet, fleet.records["a", 4096]


def started(fleet: Fleet, record: EngineRecord, now: float = 0.0) -> int:
    fleet.start(record, now, [])
    return record.ticket


def ready(fleet: Fleet, record: EngineRecord, now: float = 0.0) -> int:
    ticket = started(fleet, record, now)
    fleet.ready(fx.EngineReady(ticket, now + 2.0))
    return ticket


class TestRuns:
    def test_each_start_has_a_ticket_of_its_own(self) -> None:
        fleet, record = fleet_of()
        out: list[fx.Effect] = []
        fleet.start(record, 5.0, out)
        fleet.start(fleet.records["b", 4096], 6.0, out)
        assert out == [fx.StartEngine(1, SMALL), fx.StartEngine(2, OTHER)]
        assert (record.state, record.started_at, record.used_at) == (State.STARTING, 5.0, 5.0)
        assert fleet.run(1) is record
        assert fleet.run(3) is None
        assert list(fleet.alive) == ["a", "b"]

    def test_the_latest_start_of_those_that_serve(self) -> None:
        fleet, record = fleet_of()
        assert fleet.latest(SMALL) is None
        started(fleet, record)
        fleet.exited(fx.EngineExited(1, "gone", 1.0))
        started(fleet, fleet.records["a", 8192])
        started(fleet, fleet.records["b", 4096])
        assert fleet.latest(SMALL) is fleet.records["a", 8192]
        assert fleet.latest(OTHER) is fleet.records["b", 4096]

    def test_ready_ends_what_is_known_of_failures(self) -> None:
        fleet, record = fleet_of()
        record.failures, record.reason, record.shortages = 3, "no luck", 1
        started(fleet, record, 10.0)
        fleet.ready(fx.EngineReady(1, 14.0))
        assert record.state is State.READY
        assert (record.failures, record.reason, record.shortages) == (0, "", 0)
        assert (record.ready_at, record.idle_since, record.load_seconds) == (14.0, 14.0, 4.0)

    def test_a_stop_is_said_once(self) -> None:
        fleet, record = fleet_of()
        ready(fleet, record)
        out: list[fx.Effect] = []
        fleet.stop(record, out)
        fleet.stop(record, out)
        assert out == [fx.StopEngine(1)]
        assert fleet.alive == {"a": record}, "its process may exist still"
        assert fleet.exited(fx.EngineExited(1, "stopped", 9.0)) is None
        assert (record.state, record.reason, record.ended_at) == (State.STOPPED, "", 9.0)
        assert not fleet.alive

    def test_what_comes_late_changes_nothing(self) -> None:
        fleet, record = fleet_of()
        ready(fleet, record)
        fleet.ready(fx.EngineReady(1, 50.0))
        assert record.ready_at == 2.0
        fleet.exited(fx.EngineExited(1, "gone", 60.0))
        state = record.state
        fleet.ready(fx.EngineReady(1, 70.0))
        fleet.measured(1, {"gpu": 9})
        assert fleet.exited(fx.EngineExited(1, "again", 80.0)) is None
        assert (record.state, record.memory, record.ended_at) == (state, {}, 60.0)

    def test_changes_are_told_once_and_in_order(self) -> None:
        fleet, record = fleet_of()
        assert fleet.changes() == []
        ready(fleet, record)
        moves = [(change.engine, change.before, change.after) for change in fleet.changes()]
        assert moves == [
            (1, State.STOPPED, State.STARTING),
            (1, State.STARTING, State.READY),
        ]
        assert fleet.changes() == []

    def test_a_larger_variant_lives_in_the_place_of_its_model(self) -> None:
        fleet, record = fleet_of()
        started(fleet, record)
        large = fleet.records["a", 8192]
        started(fleet, large)
        fleet.exited(fx.EngineExited(1, "gone", 1.0))
        assert fleet.alive == {"a": large}


class TestFailures:
    def test_a_failed_start_is_to_be_told_and_may_be_tried_at_once(self) -> None:
        fleet, record = fleet_of()
        started(fleet, record)
        assert fleet.exited(fx.EngineExited(1, "exit status 1", 3.0)) is record
        assert (record.state, record.reason) == (State.BACKOFF, "exit status 1")
        assert (record.failures, record.retry_at) == (1, 3.0)
        started(fleet, record, 4.0)
        fleet.exited(fx.EngineExited(2, "exit status 1", 5.0))
        assert (record.failures, record.retry_at) == (2, 5.0 + FIRST_DELAY)

    def test_after_many_it_counts_as_failed(self) -> None:
        fleet, record = fleet_of()
        for number in range(1, GIVE_UP_AFTER + 1):
            started(fleet, record)
            fleet.exited(fx.EngineExited(number, "exit status 1", 0.0))
        assert record.state is State.FAILED
        assert record.retry_at == LONGEST_DELAY
        started(fleet, record)
        assert fleet.alive == {"a": record}, "no failure is final"

    def test_an_end_after_readiness_is_no_failed_start(self) -> None:
        fleet, record = fleet_of()
        ready(fleet, record)
        record.active.add(7)
        record.needs.append(4096)
        assert fleet.exited(fx.EngineExited(1, "signal 11", 9.0)) is None
        assert (record.state, record.failures, record.retry_at) == (State.BACKOFF, 0, 9.0)
        assert record.reason == "signal 11"
        assert not record.active
        assert not record.needs

    def test_the_reason_to_stop_it_is_the_one_that_counts(self) -> None:
        fleet, record = fleet_of()
        started(fleet, record)
        fleet.unhealthy(record, "too slow")
        assert record.state is State.ABORTING
        assert fleet.exited(fx.EngineExited(1, "signal 9", 9.0)) is None, "they know already"
        assert (record.reason, record.failures) == ("too slow", 1)

    def test_one_that_hangs_is_replaced_too(self) -> None:
        fleet, record = fleet_of()
        ready(fleet, record)
        record.shortages = 1
        fleet.unhealthy(record, "deaf")
        assert record.state is State.ABORTING
        assert record.shortages == 1, "nothing is learnt of its load"

    def test_without_memory_it_is_tried_again_alone_and_then_pauses(self) -> None:
        fleet, record = fleet_of()
        started(fleet, record)
        lacks = fx.EngineExited(1, "no room", 4.0, out_of_memory="gpu")
        assert fleet.exited(lacks) is None
        assert (record.retry_at, record.failures, record.lacked) == (4.0, 0, "gpu")
        assert fleet.limits.alone == {SMALL.label}
        started(fleet, record, 5.0)
        lacks = fx.EngineExited(2, "no room", 7.0, out_of_memory="gpu")
        assert fleet.exited(lacks) is record
        assert (record.retry_at, record.failures, record.shortages) == (27.0, 1, 2)
        started(fleet, record, 30.0)
        fleet.ready(fx.EngineReady(3, 32.0))
        assert not fleet.limits.alone

    def test_an_engine_that_was_too_slow_lacked_no_memory(self) -> None:
        fleet, record = fleet_of()
        started(fleet, record)
        fleet.exited(fx.EngineExited(1, "no room", 4.0, out_of_memory="gpu"))
        started(fleet, record, 5.0)
        fleet.unhealthy(record, "too slow")
        assert record.shortages == 0
        assert not fleet.limits.alone


class TestMemory:
    def test_what_is_measured_counts(self) -> None:
        fleet, record = fleet_of()
        assert record.takes == {}
        ready(fleet, record)
        fleet.measured(1, {"gpu": 60})
        assert record.memory == {"gpu": 60}
        assert record.takes == fleet.limits.takes(SMALL) == {"gpu": 60}
        fleet.exited(fx.EngineExited(1, "gone", 9.0))
        assert record.memory == {}
        assert record.takes == {"gpu": 60}, "it will take as much again"


class TestRenewal:
    NEW = variant(4096, "a", binary="/opt/new/llama-server")

    def renew(self, fleet: Fleet, *kept: str, limits: Limits = LIMITS) -> list[EngineRecord]:
        variants = (self.NEW, LARGE, OTHER)
        return fleet.renew(fx.Reconfigure(variants, frozenset(kept), Policy(), limits, 20.0))

    def test_who_is_kept_goes_on(self) -> None:
        fleet, _ = fleet_of()
        other = fleet.records["b", 4096]
        ready(fleet, other)
        assert self.renew(fleet, OTHER.label) == []
        assert fleet.configured(other)
        assert other in fleet.all

    def test_who_is_not_is_retired_until_it_has_ended(self) -> None:
        fleet, record = fleet_of()
        ready(fleet, record)
        fleet.measured(1, {"gpu": 60})
        moved = Limits(max_loaded=3, resources={"gpu": 100}, addresses={SMALL.label: "b:2"})
        assert self.renew(fleet, limits=moved) == [record]
        assert not fleet.configured(record)
        assert len(fleet.all) == 4
        assert fleet.limits.addresses == {SMALL.label: "localhost:1"}, "it listens there still"
        assert fleet.limits.takes(self.NEW) == {"gpu": 60}
        assert self.renew(fleet, limits=moved) == [record], "told again, harmlessly"
        fleet.stop(record, [])
        assert self.renew(fleet, limits=moved) == []
        fleet.exited(fx.EngineExited(1, "stopped", 30.0))
        assert len(fleet.all) == 3
        assert fleet.limits.addresses == {SMALL.label: "b:2"}
        assert fleet.limits.takes(self.NEW) == {}

    def test_who_is_too_many_ends(self) -> None:
        fleet, _ = fleet_of()
        large, other = fleet.records["a", 8192], fleet.records["b", 4096]
        ready(fleet, large)
        ready(fleet, other, 5.0)
        assert self.renew(fleet, LARGE.label, OTHER.label, limits=Limits(max_loaded=1)) == [large]
        assert fleet.configured(large)


def test_a_drained_engine_stops() -> None:
    fleet, record = fleet_of()
    ready(fleet, record)
    fleet.move(record, Event.DRAIN)
    fleet.move(record, Event.DRAINED)
    assert record.state is State.STOPPING
    assert fleet.exited(fx.EngineExited(1, "stopped", 9.0)) is None
    assert not fleet.alive
