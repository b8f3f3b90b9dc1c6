"""engine_table.py: engines' records, their states, and the limits they live within."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import variant

from engine.scheduling import events as ev
from engine.scheduling.engine_table import EngineRecord, EngineTable, reconfiguration
from engine.scheduling.eviction import Limits
from engine.scheduling.failures import FIRST_DELAY, GIVE_UP_AFTER, LONGEST_DELAY
from engine.scheduling.lifecycle import Event, State
from engine.scheduling.policy import Policy


@pytest.mark.parametrize("state", State)
def test_only_an_engine_that_starts_or_is_ready_is_of_use(state: State) -> None:
    useful = EngineRecord(variant(), state).useful
    assert useful is (state in {State.STARTING, State.READY})


def test_an_engine_serves_its_own_model_up_to_its_context() -> None:
    record = EngineRecord(variant(8192))
    assert record.serves(variant(8192))
    assert not record.serves(variant(8193))
    assert not record.serves(variant(4096, "other"))


def test_an_engine_is_worth_its_use_and_its_load() -> None:
    record = EngineRecord(variant(), load_seconds=8.0)
    assert record.worth(0.0) == 0.0
    record.use(0.0)
    assert record.worth(0.0) == 8.0
    assert record.worth(600.0) == 4.0
    record.use(600.0)
    assert record.uses == 1.5
    assert record.worth(600.0) == 12.0


def test_a_start_is_over_when_the_engine_is_ready_or_gone() -> None:
    record = EngineRecord(variant(), State.STARTING, started_at=5.0, ready_at=2.0, ended_at=4.0)
    assert record.loaded_until(9.0) == 9.0, "the times of the run before do not count"
    record.state, record.ready_at = State.READY, 8.0
    assert record.loaded_until(9.0) == 8.0
    record.state, record.ended_at = State.BACKOFF, 10.0
    assert record.loaded_until(11.0) == 8.0
    record.ready_at = 2.0
    assert record.loaded_until(11.0) == 10.0


SMALL, LARGE, OTHER = variant(4096, "a"), variant(8192, "a"), variant(4096, "b")
LIMITS = Limits(max_loaded=3, resources={"gpu": 100}, addresses={SMALL.label: "localhost:1"})


def table_of() -> tuple[EngineTable, EngineRecord]:
    """Return a table of the three, and the record of the small one."""
    engines = EngineTable((SMALL, LARGE, OTHER), LIMITS)
    return engines, engines.records["a@4096"]


def started(engines: EngineTable, record: EngineRecord, now: float = 0.0) -> int:
    engines.start(record, now, [])
    return record.ticket


def ready(engines: EngineTable, record: EngineRecord, now: float = 0.0) -> int:
    ticket = started(engines, record, now)
    engines.ready(ev.EngineReady(ticket, now + 2.0))
    return ticket


class TestRuns:
    def test_each_start_has_a_ticket_of_its_own(self) -> None:
        engines, record = table_of()
        out: list[ev.Effect] = []
        engines.start(record, 5.0, out)
        engines.start(engines.records["b@4096"], 6.0, out)
        assert out == [ev.StartEngine(1, SMALL), ev.StartEngine(2, OTHER)]
        assert (record.state, record.started_at, record.used_at) == (State.STARTING, 5.0, 5.0)
        assert engines.run(1) is record
        assert engines.run(3) is None
        assert list(engines.alive) == ["a", "b"]

    def test_the_latest_start_of_those_that_serve(self) -> None:
        engines, record = table_of()
        assert engines.latest(SMALL) is None
        started(engines, record)
        engines.exited(ev.EngineExited(1, "gone", 1.0))
        started(engines, engines.records["a@8192"])
        started(engines, engines.records["b@4096"])
        assert engines.latest(SMALL) is engines.records["a@8192"]
        assert engines.latest(OTHER) is engines.records["b@4096"]

    def test_ready_ends_what_is_known_of_failures(self) -> None:
        engines, record = table_of()
        record.failures, record.reason, record.shortages = 3, "no luck", 1
        started(engines, record, 10.0)
        engines.ready(ev.EngineReady(1, 14.0))
        assert record.state is State.READY
        assert (record.failures, record.reason, record.shortages) == (0, "", 0)
        assert (record.ready_at, record.idle_since, record.load_seconds) == (14.0, 14.0, 4.0)

    def test_a_stop_is_said_once(self) -> None:
        engines, record = table_of()
        ready(engines, record)
        out: list[ev.Effect] = []
        engines.stop(record, out)
        engines.stop(record, out)
        assert out == [ev.StopEngine(1)]
        assert engines.alive == {"a": record}, "its process may exist still"
        assert engines.exited(ev.EngineExited(1, "stopped", 9.0)) is None
        assert (record.state, record.reason, record.ended_at) == (State.STOPPED, "", 9.0)
        assert not engines.alive

    def test_what_comes_late_changes_nothing(self) -> None:
        engines, record = table_of()
        ready(engines, record)
        engines.ready(ev.EngineReady(1, 50.0))
        assert record.ready_at == 2.0
        engines.exited(ev.EngineExited(1, "gone", 60.0))
        state = record.state
        engines.ready(ev.EngineReady(1, 70.0))
        engines.measured(1, {"gpu": 9})
        assert engines.exited(ev.EngineExited(1, "again", 80.0)) is None
        assert (record.state, record.memory, record.ended_at) == (state, {}, 60.0)

    def test_changes_are_told_once_and_in_order(self) -> None:
        engines, record = table_of()
        assert engines.changes() == []
        ready(engines, record)
        moves = [(change.engine, change.before, change.after) for change in engines.changes()]
        assert moves == [
            (1, State.STOPPED, State.STARTING),
            (1, State.STARTING, State.READY),
        ]
        assert engines.changes() == []

    def test_a_larger_variant_lives_in_the_place_of_its_model(self) -> None:
        engines, record = table_of()
        started(engines, record)
        large = engines.records["a@8192"]
        started(engines, large)
        engines.exited(ev.EngineExited(1, "gone", 1.0))
        assert engines.alive == {"a": large}


class TestFailures:
    def test_a_failed_start_is_to_be_told_and_may_be_tried_at_once(self) -> None:
        engines, record = table_of()
        started(engines, record)
        assert engines.exited(ev.EngineExited(1, "exit status 1", 3.0)) is record
        assert (record.state, record.reason) == (State.BACKOFF, "exit status 1")
        assert (record.failures, record.retry_at) == (1, 3.0)
        started(engines, record, 4.0)
        engines.exited(ev.EngineExited(2, "exit status 1", 5.0))
        assert (record.failures, record.retry_at) == (2, 5.0 + FIRST_DELAY)

    def test_after_many_it_counts_as_failed(self) -> None:
        engines, record = table_of()
        for number in range(1, GIVE_UP_AFTER + 1):
            started(engines, record)
            engines.exited(ev.EngineExited(number, "exit status 1", 0.0))
        assert record.state is State.FAILED
        assert record.retry_at == LONGEST_DELAY
        started(engines, record)
        assert engines.alive == {"a": record}, "no failure is final"

    def test_an_end_after_readiness_is_no_failed_start(self) -> None:
        engines, record = table_of()
        ready(engines, record)
        record.active.add(7)
        record.needs.append(record.variant)
        assert engines.exited(ev.EngineExited(1, "signal 11", 9.0)) is None
        assert (record.state, record.failures, record.retry_at) == (State.BACKOFF, 0, 9.0)
        assert record.reason == "signal 11"
        assert not record.active
        assert not record.needs

    def test_the_reason_to_stop_it_is_the_one_that_counts(self) -> None:
        engines, record = table_of()
        started(engines, record)
        engines.unhealthy(record, "too slow")
        assert record.state is State.ABORTING
        assert engines.exited(ev.EngineExited(1, "signal 9", 9.0)) is None, "they know already"
        assert (record.reason, record.failures) == ("too slow", 1)

    def test_one_that_hangs_is_replaced_too(self) -> None:
        engines, record = table_of()
        ready(engines, record)
        record.shortages = 1
        engines.unhealthy(record, "hangs")
        assert record.state is State.ABORTING
        assert record.shortages == 1, "nothing is learnt of its load"

    def test_without_memory_it_is_tried_again_alone_and_then_pauses(self) -> None:
        engines, record = table_of()
        started(engines, record)
        lacks = ev.EngineExited(1, "no room", 4.0, out_of_memory="gpu")
        assert engines.exited(lacks) is None
        assert (record.retry_at, record.failures, record.lacked) == (4.0, 0, "gpu")
        assert engines.limits.alone == {SMALL.label}
        started(engines, record, 5.0)
        lacks = ev.EngineExited(2, "no room", 7.0, out_of_memory="gpu")
        assert engines.exited(lacks) is record
        assert (record.retry_at, record.failures, record.shortages) == (27.0, 1, 2)
        started(engines, record, 30.0)
        engines.ready(ev.EngineReady(3, 32.0))
        assert not engines.limits.alone

    def test_an_engine_that_was_too_slow_lacked_no_memory(self) -> None:
        engines, record = table_of()
        started(engines, record)
        engines.exited(ev.EngineExited(1, "no room", 4.0, out_of_memory="gpu"))
        started(engines, record, 5.0)
        engines.unhealthy(record, "too slow")
        assert record.shortages == 0
        assert not engines.limits.alone


class TestMemory:
    def test_what_is_measured_counts(self) -> None:
        engines, record = table_of()
        assert record.takes == {}
        ready(engines, record)
        engines.measured(1, {"gpu": 60})
        assert record.memory == {"gpu": 60}
        assert record.takes == engines.limits.takes(SMALL) == {"gpu": 60}
        engines.exited(ev.EngineExited(1, "gone", 9.0))
        assert record.memory == {}
        assert record.takes == {"gpu": 60}, "it will take as much again"


class TestReconfiguration:
    NEW = variant(4096, "a", binary="/opt/new/llama-server")

    def reconfigure(
        self, engines: EngineTable, *kept: str, limits: Limits = LIMITS
    ) -> list[EngineRecord]:
        variants = (self.NEW, LARGE, OTHER)
        return engines.reconfigure(
            ev.Reconfigure(variants, frozenset(kept), Policy(), limits, 20.0)
        )

    def test_a_kept_engine_goes_on(self) -> None:
        engines, _ = table_of()
        other = engines.records["b@4096"]
        ready(engines, other)
        assert self.reconfigure(engines, OTHER.label) == []
        assert engines.configured(other)
        assert other in engines.all

    def test_an_engine_that_is_not_kept_is_retired_until_it_has_ended(self) -> None:
        engines, record = table_of()
        ready(engines, record)
        engines.measured(1, {"gpu": 60})
        moved = Limits(max_loaded=3, resources={"gpu": 100}, addresses={SMALL.label: "b:2"})
        assert self.reconfigure(engines, limits=moved) == [record]
        assert not engines.configured(record)
        assert len(engines.all) == 4
        assert engines.limits.addresses == {SMALL.label: "localhost:1"}, "it listens there still"
        assert engines.limits.takes(self.NEW) == {"gpu": 60}
        assert self.reconfigure(engines, limits=moved) == [record], "told again, harmlessly"
        engines.stop(record, [])
        assert self.reconfigure(engines, limits=moved) == []
        engines.exited(ev.EngineExited(1, "stopped", 30.0))
        assert len(engines.all) == 3
        assert engines.limits.addresses == {SMALL.label: "b:2"}
        assert engines.limits.takes(self.NEW) == {}

    def test_what_engines_take_follows_their_needs_and_the_resources(self) -> None:
        engines, _ = table_of()
        for needs, amount, takes in ((30, 100, 30), (50, 100, 50), (300, 200, 200), (300, 90, 90)):
            wanted = replace(OTHER, estimated={"gpu": needs})
            kept, limits = frozenset({OTHER.label}), Limits(resources={"gpu": amount})
            engines.reconfigure(ev.Reconfigure((wanted,), kept, Policy(), limits, 20.0))
            assert engines.records[OTHER.label].takes == {"gpu": takes}

    def test_what_was_made_of_other_records_is_made_anew(self) -> None:
        engines, record = table_of()
        kept, variants = frozenset({OTHER.label}), (self.NEW, OTHER)
        made = reconfiguration(engines.records, variants, kept, LIMITS)
        event = ev.Reconfigure(variants, kept, Policy(), LIMITS, 20.0, prepared=made)
        assert engines.records[SMALL.label] is record, "nothing has changed yet"
        engines.reconfigure(event)
        assert engines.records is made.records
        between = engines.records
        self.reconfigure(engines, SMALL.label, OTHER.label)
        engines.reconfigure(event)
        assert engines.records is not made.records
        assert engines.records[OTHER.label] is between[OTHER.label]

    def test_an_engine_beyond_the_limit_ends(self) -> None:
        engines, _ = table_of()
        large, other = engines.records["a@8192"], engines.records["b@4096"]
        ready(engines, large)
        ready(engines, other, 5.0)
        assert self.reconfigure(engines, LARGE.label, OTHER.label, limits=Limits(max_loaded=1)) == [
            large
        ]
        assert engines.configured(large)


def test_a_drained_engine_stops() -> None:
    engines, record = table_of()
    ready(engines, record)
    engines.move(record, Event.DRAIN)
    engines.move(record, Event.DRAINED)
    assert record.state is State.STOPPING
    assert engines.exited(ev.EngineExited(1, "stopped", 9.0)) is None
    assert not engines.alive
