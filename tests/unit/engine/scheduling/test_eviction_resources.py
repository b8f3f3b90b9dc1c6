"""engine/scheduling/eviction.py: resources, and the cheapest way to make room."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from builders import variant
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.eviction import Limits, room
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from models.spec import VariantSpec


def engine(
    name: str, *, uses: float = 1.0, load: float = 1.0, busy: bool = False, **needs: int
) -> EngineRecord:
    return EngineRecord(
        variant(4096, name, needs=needs),
        State.READY,
        active={1} if busy else set(),
        ticket=ord(name),
        uses=uses,
        load_seconds=load,
    )


def gone(limits: Limits, records: list[EngineRecord], **needs: int) -> str | None:
    victims = room(variant(4096, "wanted", needs=needs), [], records, limits)
    return None if victims is None else "".join(sorted(each.variant.model for each in victims))


TEN = Limits(99, resources={"gpu": 10, "ram": 10})


def test_what_fits_makes_nobody_go() -> None:
    assert gone(TEN, [engine("a", gpu=6)], gpu=4) == ""
    assert gone(TEN, [engine("a", gpu=10)], ram=10) == ""
    assert gone(TEN, [engine("a", gpu=10)]) == ""


def test_what_does_not_fit_takes_the_room_of_the_least_valuable() -> None:
    three = [engine("a", gpu=3, uses=9), engine("b", gpu=3, uses=2), engine("c", gpu=3, uses=5)]
    assert gone(TEN, three, gpu=4) == "b"
    assert gone(TEN, three, gpu=5) == "bc"
    assert gone(TEN, three, gpu=10) == "abc"
    assert gone(TEN, three, gpu=11) is None


def test_slow_to_load_is_valuable_too() -> None:
    assert gone(TEN, [engine("a", gpu=5, load=60), engine("b", gpu=5, uses=9)], gpu=5) == "b"


def test_one_large_engine_may_cost_less_than_several_small_ones() -> None:
    small = [engine("a", gpu=3, uses=2), engine("b", gpu=3, uses=2)]
    assert gone(TEN, [*small, engine("c", gpu=4, uses=3)], gpu=4) == "c"
    assert gone(TEN, [*small, engine("c", gpu=4, uses=5)], gpu=4) == "ab"


def test_no_engine_is_evicted_without_need() -> None:
    assert gone(TEN, [engine("a", ram=9, uses=0), engine("b", gpu=9, uses=9)], gpu=4) == "b"
    assert gone(TEN, [engine("a", gpu=9, uses=0), engine("b", gpu=1, uses=0)], gpu=5) == "a"


def test_every_resource_counts() -> None:
    records = [engine("a", gpu=8), engine("b", ram=8), engine("c", gpu=1, ram=1, uses=50)]
    assert gone(TEN, records, gpu=3, ram=3) == "ab"


def test_a_busy_engine_is_waited_for_only_when_the_idle_ones_are_not_enough() -> None:
    records = [engine("a", gpu=5, uses=99), engine("b", gpu=5, busy=True)]
    assert gone(TEN, records, gpu=5) == "a"
    assert gone(TEN, records, gpu=6) == "ab"


def test_the_number_of_engines_is_limited_all_the_same() -> None:
    two = Limits(2, resources={"gpu": 10})
    assert gone(two, [engine("a", gpu=1), engine("b", gpu=9, uses=9)], gpu=2) == "b"
    assert gone(two, [engine("a", gpu=6), engine("b", gpu=4, uses=9)], gpu=6) == "a"
    assert gone(Limits(1, resources={"gpu": 10}), [engine("a", gpu=6), engine("b")], gpu=6) == "ab"


def test_an_unknown_resource_is_one_of_which_there_is_nothing() -> None:
    assert gone(Limits(2), [], gpu=1) is None
    assert gone(Limits(2), [], gpu=0) == ""


def test_among_many_engines_those_that_can_be_spared_are_spared() -> None:
    many = [engine(chr(97 + n), gpu=1, uses=n + 1) for n in range(20)]
    assert gone(Limits(99, resources={"gpu": 20}), many, gpu=3) == "abc"
    many[0].active = {1}
    assert gone(Limits(99, resources={"gpu": 20}), many, gpu=3) == "bcd"


def test_what_was_learnt_counts_where_nothing_is_declared() -> None:
    records = [engine("a"), engine("b", uses=9)]
    learnt = TEN.learning(records[0].variant, {"gpu": 6, "disk": 99})
    learnt = learnt.learning(records[0].variant, {"gpu": 2, "ram": 1})
    assert learnt.takes(records[0].variant) == {"gpu": 6, "ram": 1}
    assert gone(learnt, records, gpu=4) == ""
    assert gone(learnt, records, gpu=5) == "a"
    assert gone(TEN, records, gpu=10) == ""


def test_what_was_learnt_to_be_too_much_may_live_alone() -> None:
    wanted = variant(4096, "w")
    limits = TEN.learning(wanted, {"gpu": 500})
    assert room(wanted, [], [], limits) == []
    assert room(wanted, [], [engine("a", gpu=1)], limits) is not None
    # A variant that needs nothing of the overdrawn resource is not affected.
    assert gone(limits, [engine("w"), engine("a", gpu=9)], ram=3) == ""
    assert gone(limits, [engine("w", uses=0), engine("a", gpu=9, uses=9)], gpu=1) == "w"


def test_after_running_out_of_memory_all_evictable_engines_go() -> None:
    wanted = variant(4096, "w")
    limits = Limits(99, pinned=frozenset("p")).leaving_alone(wanted, starved=True)
    living = [engine("a"), engine("p"), engine("b", busy=True)]
    victims = room(wanted, [], living, limits)
    assert victims is not None
    assert [each.variant.model for each in victims] == ["a", "b"]
    # And while it loads, nobody else starts but who would not make room for it.
    assert limits.conflict(living[0].variant, wanted)
    assert not limits.conflict(wanted, living[1].variant)
    assert room(variant(4096, "p"), [wanted], [], limits) is None
    again = limits.leaving_alone(wanted, starved=False)
    assert room(wanted, [], living, again) == []


sizes = st.integers(0, 6)
worths = st.integers(0, 5)


@given(st.lists(st.tuples(sizes, worths, st.booleans()), max_size=6), sizes, st.integers(1, 7))
def test_no_other_set_would_cost_less(
    living: list[tuple[int, int, bool]], wanted: int, most: int
) -> None:
    limits = Limits(most, resources={"gpu": 10})
    records = [
        engine(chr(97 + n), gpu=size, uses=uses, busy=busy)
        for n, (size, uses, busy) in enumerate(living)
    ]

    def fits(going: tuple[EngineRecord, ...]) -> bool:
        stay = [r for r in records if not any(r is g for g in going)]
        needs = wanted + sum(r.variant.needs["gpu"] for r in stay)
        # More than there is can only have been learnt while they lived.
        return len(stay) < most and (needs <= 10 or not wanted)

    def cost(going: tuple[EngineRecord, ...] | list[EngineRecord]) -> tuple[int, float]:
        return sum(bool(r.active) for r in going), sum(r.worth(0.0) for r in going)

    every = [going for n in range(len(records) + 1) for going in combinations(records, n)]
    victims = room(variant(4096, "wanted", needs={"gpu": wanted}), [], records, limits)
    assert victims is not None
    assert fits(tuple(victims))
    if wanted and wanted + sum(r.variant.needs["gpu"] for r in records) > 10:
        assert cost(victims) == min(cost(going) for going in every if fits(going))


@given(
    st.lists(st.tuples(sizes, sizes, worths, st.booleans()), min_size=7, max_size=14),
    sizes,
    sizes,
    st.integers(1, 15),
)
def test_of_many_engines_none_is_evicted_without_need(
    living: list[tuple[int, int, int, bool]], gpu: int, ram: int, most: int
) -> None:
    limits = Limits(most, resources={"gpu": 30, "ram": 30})
    records = [
        engine(chr(97 + n), gpu=of_gpu, ram=of_ram, uses=uses, busy=busy)
        for n, (of_gpu, of_ram, uses, busy) in enumerate(living)
    ]

    def fits(going: list[EngineRecord]) -> bool:
        stay = [r.variant.needs for r in records if r not in going]
        return (
            len(stay) < most
            # Of what it does not need there may be too little.
            and (not gpu or gpu + sum(needs["gpu"] for needs in stay) <= 30)
            and (not ram or ram + sum(needs["ram"] for needs in stay) <= 30)
        )

    victims = room(variant(4096, "wanted", needs={"gpu": gpu, "ram": ram}), [], records, limits)
    assert victims is not None
    assert fits(victims)
    if limits.lacking(variant(4096, "w", needs={"gpu": gpu, "ram": ram}), all_of(records)):
        for spared in victims:
            assert not fits([each for each in victims if each is not spared])


def all_of(records: list[EngineRecord]) -> list[VariantSpec]:
    return [record.variant for record in records]
