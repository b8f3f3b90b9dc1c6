"""engine/scheduling/records.py: what a record tells of its engine."""

from __future__ import annotations

import pytest
from builders import variant

from engine.scheduling.lifecycle import State
from engine.scheduling.records import EngineRecord


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
