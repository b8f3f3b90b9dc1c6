"""Another configuration while engines run and requests wait."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
from builders import TIMEOUTS, variant
from scheduler_script import Script

from engine.scheduling.engine_table import EngineRecord, applied, reconfiguration
from engine.scheduling.eviction import Limits
from engine.scheduling.lifecycle import State
from engine.scheduling.policy import Policy
from engine.scheduling.reconfigure import beside, equivalent, gone, still_there, surplus
from utils.errors import ConfigurationChanged, ModelNotFound

if TYPE_CHECKING:
    from models.spec import VariantSpec

A4, A8 = variant(4096, "a"), variant(8192, "a")
NEW_A4 = variant(4096, "a", args=("-ngl", "99"))
LATER_A4 = variant(4096, "a", args=("-ngl", "1"))
PATIENT_A4 = replace(A4, timeouts=replace(TIMEOUTS, idle=2000.0), parallel=2)
B4, C4 = variant(4096, "b"), variant(4096, "c")
VARIANTS = {
    "a4": A4,
    "a8": A8,
    "new-a4": NEW_A4,
    "later-a4": LATER_A4,
    "patient-a4": PATIENT_A4,
    "b4": B4,
    "c4": C4,
}


def script(*configured: str, limits: Limits | None = None, **policy: float) -> Script:
    """Return a scheduler that begins with these variants; the others are known by name."""
    made = Script(VARIANTS, Policy(**policy), limits)  # type: ignore[arg-type]  # all are numbers
    made.configure("first", *configured, limits=limits, policy=Policy(**policy))  # type: ignore[arg-type]  # all are numbers
    made.play("0 configured as first → nothing")
    return made


def records(*variants: VariantSpec) -> dict[str, EngineRecord]:
    return {each.label: EngineRecord(each) for each in variants}


class TestRecords:
    def test_a_kept_variant_keeps_its_record_with_the_new_definition(self) -> None:
        before = records(A4, B4)
        after = applied(reconfiguration(before, [PATIENT_A4, C4], {"a@4096"}, Limits()))
        assert after["a@4096"] is before["a@4096"]
        assert after["a@4096"].variant is PATIENT_A4
        assert list(after) == ["a@4096", "c@4096"]

    def test_a_redefined_variant_has_no_past(self) -> None:
        before = records(A4)
        before["a@4096"].failures = 3
        after = applied(reconfiguration(before, [NEW_A4], (), Limits()))
        assert asdict(after["a@4096"]) == asdict(EngineRecord(NEW_A4))

    def test_sizes_seen_are_those_of_variants_that_there_are(self) -> None:
        before = records(A4, A8, variant(16384, "a"))
        largest = variant(16384, "a")
        before["a@16384"].needs = deque([A4, A8, largest])
        after = applied(reconfiguration(before, [A8, largest], {"a@16384"}, Limits()))
        assert list(after["a@16384"].needs) == [A8, A8, largest]

    @pytest.mark.parametrize(
        ("context", "found"), [(4096, A4), (2048, A4), (5000, A8), (8192, A8), (9000, None)]
    )
    def test_the_next_larger_of_the_model(self, context: int, found: VariantSpec | None) -> None:
        assert equivalent(records(A8, B4, A4), variant(context, "a")) is found

    def test_without_a_context_any_other_of_the_model_does(self) -> None:
        fast, slow = variant(None, "a", name="fast"), variant(None, "a", name="slow")
        assert equivalent(records(fast, slow), slow) is slow
        assert equivalent(records(B4, fast), slow) is fast

    def test_what_is_told_when_there_is_none(self) -> None:
        assert isinstance(gone(records(A4), B4), ModelNotFound)
        error = gone(records(A4), A8)
        assert isinstance(error, ConfigurationChanged)
        assert "'a' has no variant of 8192 tokens any more" in error.message


class TestSurplus:
    def living(self, *variants: VariantSpec) -> list[EngineRecord]:
        made = [EngineRecord(each, State.READY) for each in variants]
        for number, record in enumerate(made):
            record.ticket, record.used_at = number, float(number)
        return made

    def test_nobody_while_there_is_room(self) -> None:
        assert surplus(self.living(A4, B4), Limits(2)) == []

    def test_the_least_recently_used_go_busy_ones_last(self) -> None:
        a, b, c = self.living(A4, B4, C4)
        assert surplus([a, b, c], Limits(2)) == [a]
        a.active.add(1)
        assert surplus([a, b, c], Limits(1)) == [c, b]

    def test_a_kept_variant_stays(self) -> None:
        a, b, c = self.living(A4, B4, C4)
        assert surplus([a, b, c], Limits(2, pinned=frozenset("a"))) == [b]

    def test_resources_and_groups(self) -> None:
        a, b = self.living(replace(A4, needs={"gpu": 6}), replace(B4, needs={"gpu": 6}))
        assert surplus([a, b], Limits(2, resources={"gpu": 12})) == []
        assert surplus([a, b], Limits(2, resources={"gpu": 10})) == [a]
        assert surplus([a, b], Limits(2, groups={"a": "x"}, resources={"gpu": 12})) == [a]


def test_an_ending_engine_still_listens_at_its_address() -> None:
    addresses = {"a@4096": "new:1", "b@4096": "b:1"}
    old = EngineRecord(A4), "old:1"
    silent = EngineRecord(B4), None
    assert beside([old], addresses) == {"a@4096": "old:1", "b@4096": "b:1"}
    assert beside([silent], addresses) == {"a@4096": "new:1"}
    assert beside([], addresses) == addresses


class TestEngines:
    def test_an_unchanged_engine_and_its_stream_go_on(self) -> None:
        world = script("a4")
        world.configure("more", "a4", "b4", kept=("a4",))
        world.play("""
            0  1 asks for a4      → start e1 a4
            1  e1 ready           → grant 1 e1
            2  configured as more → nothing
            3  1 leaves           → wake 903
            4  2 asks for a4      → grant 2 e1
        """)

    def test_other_times_hold_at_once(self) -> None:
        world = script("a4")
        world.configure("patient", "patient-a4", kept=("a4",))
        world.play("""
            0  1 asks for a4         → start e1 a4
            1  e1 ready              → grant 1 e1
            2  configured as patient → nothing
            2  2 asks for a4         → grant 2 e1
            3  2 leaves              → nothing
            3  1 leaves              → wake 2003
        """)

    def test_a_changed_engine_drains_and_the_next_request_waits_for_the_new_one(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  configured as other → nothing
            3  2 asks for a4       → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → start e2 new-a4
            6  e2 ready            → grant 2 e2
        """)

    def test_while_it_drains_both_are_shown(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  configured as other → nothing
        """)
        shown = [(r.variant, r.state) for r in world.scheduler.records]
        assert shown == [(NEW_A4, State.STOPPED), (A4, State.DRAINING)]
        world.play("""
            3  1 leaves → stop e1
            4  e1 exits → nothing
        """)
        assert [r.variant for r in world.scheduler.records] == [NEW_A4]

    def test_an_idle_changed_engine_stops(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  1 leaves            → wake 902
            3  configured as other → stop e1
            4  e1 exits            → nothing
        """)

    def test_a_starting_one_stops_and_its_requests_get_the_new_one(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  configured as other → stop e1
            2  e1 ready            → nothing
            3  e1 exits            → start e2 new-a4
            4  e2 ready            → grant 1 e2
        """)

    def test_changed_again_before_the_first_has_ended(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.configure("later", "later-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            1  2 asks for a4       → nothing
            2  configured as other → nothing
            3  configured as later → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → start e2 later-a4
        """)

    def test_changed_back_while_it_drains_it_is_not_the_same_any_more(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            1  2 asks for a4       → nothing
            2  configured as other → nothing
            3  configured as first → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → start e2 a4
        """)

    def test_a_failed_start_is_forgotten_with_its_definition(self) -> None:
        world = script("a4")
        world.configure("same", "a4", kept=("a4",))
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 exits            → refuse 1 EngineStartFailed
            1  2 asks for a4       → start e2 a4
            2  e2 exits            → refuse 2 EngineStartFailed
            2  configured as same  → nothing
            2  3 asks for a4       → refuse 3 EngineStartFailed
            2  configured as other → nothing
            2  4 asks for a4       → start e3 new-a4
        """)

    def test_one_that_aborts_only_has_to_end(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 too slow         → refuse 1 EngineStartTimeout; stop e1
            2  configured as other → nothing
            3  2 asks for a4       → nothing
            4  e1 exits            → start e2 new-a4
        """)

    def test_an_old_address_is_free_when_its_engine_has_ended(self) -> None:
        before = Limits(2, addresses={"a@4096": "x:1"})
        world = script("a4", "b4", limits=before)
        after = Limits(2, addresses={"a@4096": "x:2", "b@4096": "x:1"})
        world.configure("moved", "new-a4", "b4", kept=("b4",), limits=after)
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  configured as moved → nothing
            3  2 asks for b4       → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → start e2 b4
            6  3 asks for a4       → start e3 new-a4
        """)

    def test_a_shrink_to_a_variant_that_is_gone_does_not_happen(self) -> None:
        world = script("a4", "a8", shrink_after=10, shrink_requests=1)
        policy = Policy(shrink_after=10, shrink_requests=1)
        world.configure("large", "a8", kept=("a8",), policy=policy)
        world.play("""
            0   1 asks for a8       → start e1 a8
            1   e1 ready            → grant 1 e1
            2   1 leaves            → wake 902
            3   2 asks for a4       → grant 2 e1
            4   2 leaves            → wake 14
            14  tick                → stop e1
            15  configured as large → nothing
            16  e1 exits            → nothing
        """)

    def test_sizes_seen_of_a_variant_that_is_gone(self) -> None:
        world = script("a4", "a8", shrink_after=10, shrink_requests=1)
        policy = Policy(shrink_after=10, shrink_requests=1)
        world.configure("large", "a8", kept=("a8",), policy=policy)
        world.play("""
            0   1 asks for a8       → start e1 a8
            1   e1 ready            → grant 1 e1
            2   1 leaves            → wake 902
            3   2 asks for a4       → grant 2 e1
            4   2 leaves            → wake 14
            5   configured as large → wake 904
        """)


class TestLimits:
    def test_fewer_engines_than_there_are(self) -> None:
        world = script("a4", "b4", limits=Limits(2))
        world.configure("one", "a4", "b4", kept=("a4", "b4"), limits=Limits(1))
        world.play("""
            0  1 asks for a4     → start e1 a4
            1  e1 ready          → grant 1 e1
            2  2 asks for b4     → start e2 b4
            3  e2 ready          → grant 2 e2
            4  configured as one → nothing
            5  3 asks for a4     → nothing
            6  1 leaves          → stop e1
            7  e1 exits          → nothing
            8  2 leaves          → stop e2
            9  e2 exits          → start e3 a4
        """)

    def test_more_engines_at_once(self) -> None:
        world = script("a4", "b4")
        world.configure("two", "a4", "b4", kept=("a4", "b4"), limits=Limits(2))
        world.play("""
            0  1 asks for a4     → start e1 a4
            1  e1 ready          → grant 1 e1
            2  2 asks for b4     → nothing
            3  configured as two → start e2 b4
        """)

    def test_a_shorter_queue_refuses_no_waiting_request(self) -> None:
        world = script("a4")
        world.configure("short", "a4", kept=("a4",), policy=Policy(max_queue=1))
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  2 asks for a4       → nothing
            2  3 asks for a4       → nothing
            3  configured as short → nothing
            4  4 asks for a4       → refuse 4 QueueFull
        """)

    def test_patience_counts_at_once(self) -> None:
        world = script("a4", "b4")
        patient = Policy(max_switch_wait=30.0)
        world.configure("patient", "a4", "b4", kept=("a4", "b4"), policy=patient)
        world.play("""
            0  1 asks for a4         → start e1 a4
            1  e1 ready              → grant 1 e1
            2  2 asks for b4         → nothing
            3  3 asks for a4         → nothing
            4  configured as patient → nothing
            5  1 leaves              → grant 3 e1
        """)


class TestRequests:
    def test_those_of_a_model_that_is_gone_are_told(self) -> None:
        world = script("a4", "b4")
        world.configure("without", "a4", kept=("a4",))
        world.play("""
            0  1 asks for a4         → start e1 a4
            1  e1 ready              → grant 1 e1
            2  2 asks for b4         → nothing
            3  configured as without → refuse 2 ModelNotFound
            4  3 asks for b4         → refuse 3 ModelNotFound
            5  1 leaves              → wake 905
        """)
        assert world.errors[2].param == "model"

    def test_a_stream_of_a_model_that_is_gone_ends_properly(self) -> None:
        world = script("a4", "b4")
        world.configure("without", "a4", kept=("a4",))
        world.play("""
            0  1 asks for b4         → start e1 b4
            1  e1 ready              → grant 1 e1
            2  configured as without → nothing
            3  2 asks for a4         → nothing
            4  1 leaves              → stop e1
            5  e1 exits              → start e2 a4
        """)

    def test_those_of_a_variant_that_is_gone_take_the_next_larger(self) -> None:
        world = script("a4", "a8", "b4")
        world.configure("large", "a8", "b4", kept=("a8", "b4"))
        world.play("""
            0  1 asks for b4       → start e1 b4
            1  e1 ready            → grant 1 e1
            2  2 asks for a4       → nothing
            3  configured as large → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → start e2 a8
            6  3 asks for a4       → nothing
            7  e2 ready            → grant 2 e2
        """)

    def test_those_that_nothing_fits_any_more_are_told_to_try_again(self) -> None:
        world = script("a4", "a8", "b4")
        world.configure("small", "a4", "b4", kept=("a4", "b4"))
        world.play("""
            0  1 asks for b4       → start e1 b4
            1  e1 ready            → grant 1 e1
            2  2 asks for a8       → nothing
            3  configured as small → refuse 2 ConfigurationChanged
        """)

    def test_one_that_returns_after_the_change(self) -> None:
        world = script("a4", "a8")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  configured as other → nothing
            3  1 returns for a4    → stop e1
            4  e1 exits            → start e2 new-a4
            5  e2 ready            → grant 1 e2
            6  1 returns for a8    → refuse 1 ConfigurationChanged; wake 906
        """)

    def test_while_closing_nothing_changes(self) -> None:
        world = script("a4")
        world.configure("other", "new-a4")
        world.play("""
            0  1 asks for a4       → start e1 a4
            1  e1 ready            → grant 1 e1
            2  drain               → nothing
            3  configured as other → nothing
            4  1 leaves            → stop e1
            5  e1 exits            → nothing
        """)
        assert [r.variant for r in world.scheduler.records] == [A4]


class TestMemory:
    ROOM = Limits(9, resources={"gpu": 10})

    def taking_eight(self) -> Script:
        world = script("a4", "b4", limits=self.ROOM)
        world.play("""
            0  1 asks for a4    → start e1 a4
            1  e1 ready         → grant 1 e1
            2  e1 holds gpu 8   → nothing
        """)
        return world

    def test_what_was_learnt_of_an_engine_that_goes_on_holds(self) -> None:
        world = self.taking_eight()
        world.configure("more", "a4", "b4", "c4", kept=("a4", "b4"), limits=self.ROOM)
        world.play("3 configured as more → nothing")
        assert world.record("a4").takes == {"gpu": 8}

    def test_what_was_learnt_of_a_retired_engine_ends_with_it(self) -> None:
        world = self.taking_eight()
        limits = self.ROOM.learning(NEW_A4, {"gpu": 3})
        world.configure("other", "new-a4", "b4", kept=("b4",), limits=limits)
        world.play("3 configured as other → nothing")
        assert world.scheduler._engines.limits.takes(NEW_A4) == {"gpu": 8}, (
            "it still holds that much"
        )
        world.play("""
            4  1 leaves         → stop e1
            5  e1 exits         → nothing
        """)
        assert world.scheduler._engines.limits.takes(NEW_A4) == {"gpu": 3}

    def test_of_one_that_nothing_is_known_of_nothing_is_taken_over(self) -> None:
        world = self.taking_eight()
        world.configure("without", "b4", kept=("b4",), limits=self.ROOM)
        world.play("""
            3  configured as without → nothing
            4  1 leaves              → stop e1
            5  e1 exits              → nothing
        """)
        assert not world.scheduler._engines.limits.takes(A4)

    def test_engines_that_live_with_more_than_there_is_are_not_ended_for_a_reload(self) -> None:
        world = self.taking_eight()
        world.configure("same", "a4", "b4", kept=("a4", "b4"), limits=self.ROOM)
        world.play("""
            3  2 asks for b4       → start e2 b4
            4  e2 ready            → grant 2 e2
            5  e2 holds gpu 8      → nothing
            6  configured as same  → nothing
        """)

    def test_one_that_ran_out_of_memory_is_still_tried_alone(self) -> None:
        world = self.taking_eight()
        world.configure("same", "a4", "b4", "c4", kept=("a4", "b4"), limits=self.ROOM)
        world.play("""
            3  2 asks for b4       → start e2 b4
            4  e2 lacks gpu        → nothing
            5  configured as same  → nothing
            6  1 leaves            → stop e1
            7  e1 exits            → start e3 b4
        """)

    def test_fallbacks_are_those_that_are_configured(self) -> None:
        assert still_there(records(NEW_A4, B4), (A8, A4)) == (NEW_A4,)
