"""engine/records.py: what a record tells of its engine."""

from __future__ import annotations

import pytest
from builders import variant

from engine.lifecycle import State
from engine.records import EngineRecord


@pytest.mark.parametrize("state", State)
def test_only_an_engine_that_starts_or_is_ready_is_of_use(state: State) -> None:
    useful = EngineRecord(variant(), state).useful
    assert useful is (state in {State.STARTING, State.READY})


def test_an_engine_serves_its_own_model_up_to_its_context() -> None:
    record = EngineRecord(variant(8192))
    assert record.serves(variant(8192))
    assert not record.serves(variant(8193))
    assert not record.serves(variant(4096, "other"))
