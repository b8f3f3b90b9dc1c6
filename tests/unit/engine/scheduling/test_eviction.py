"""engine/scheduling/eviction.py: which engines may run together, and which are evicted."""

from __future__ import annotations

from builders import variant

from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.eviction import Limits, room
from engine.scheduling.lifecycle import State

A, B, C, D = (variant(4096, name) for name in "abcd")


def live(*models: str, busy: str = "") -> list[EngineRecord]:
    """Engines that were used in this order."""
    return [
        EngineRecord(
            variant(4096, name),
            State.READY,
            ticket=number,
            used_at=float(number),
            active={number} if name in busy else set(),
        )
        for number, name in enumerate(models, 1)
    ]


def names(records: list[EngineRecord] | None) -> str | None:
    return None if records is None else "".join(record.variant.model for record in records)


def test_the_first_engine_needs_no_room() -> None:
    assert room(A, [], [], Limits()) == []


def test_while_there_is_room_nobody_goes() -> None:
    assert room(C, [A], live("b"), Limits(3)) == []


def test_the_least_recently_used_goes_first() -> None:
    assert names(room(D, [], live("b", "a", "c"), Limits(3))) == "b"
    assert names(room(D, [], live("b", "a", "c"), Limits(2))) == "ba"
    assert names(room(D, [C], live("b", "a"), Limits(2))) == "ba"


def test_of_two_used_at_the_same_moment_the_one_started_first_goes() -> None:
    records = live("b", "a")
    records[0].used_at = records[1].used_at
    assert names(room(D, [], records[::-1], Limits(2))) == "b"


def test_a_busy_one_goes_last() -> None:
    assert names(room(D, [], live("a", "b", "c", busy="ac"), Limits(3))) == "b"
    assert names(room(D, [], live("a", "b", busy="ab"), Limits(2))) == "a"


def test_no_room_beside_engines_that_stay() -> None:
    assert room(B, [A], [], Limits()) is None
    assert room(D, [A, B], live("c"), Limits(2)) is None


def test_a_model_has_one_engine() -> None:
    assert names(room(variant(8192, "a"), [], live("b", "a"), Limits(3))) == "a"
    assert names(room(variant(8192, "a"), [], live("b", "a"), Limits(2))) == "a"
    assert room(variant(8192, "a"), [A], [], Limits(3)) is None


def test_two_engines_of_one_address_never_meet() -> None:
    limits = Limits(3, {B.label: "x:1", C.label: "x:1", D.label: "x:2"})
    assert names(room(B, [], live("a", "c", "d"), limits)) == "c"
    assert room(B, [C], [], limits) is None
    assert room(B, [A, D], [], limits) == []


def test_an_engine_that_runs_elsewhere_takes_no_room_and_finds_none_taken() -> None:
    limits = Limits(1, elsewhere=frozenset({"a"}), groups={"b": "g", "c": "h"})
    assert names(room(A, [B], live("c"), limits)) == "", "beside any other"
    assert names(room(B, [A], live("a"), limits)) == "", "any other beside it"
    assert names(room(B, [A], live("c"), limits)) == "c", "the others as ever"
    assert names(room(A, [], live("a", "b"), limits)) == "a", "one of its model"
    assert room(A, [A], [], limits) is None
