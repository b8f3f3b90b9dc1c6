"""engine/scheduling/scheduler.py, rule 7: draining; and late reports of engines and requests."""

from __future__ import annotations

import pytest
from builders import variant
from scheduler_script import VARIANTS, Script, backed_off, used_large

from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Policy
from utils.errors import (
    GatewayError,
    ShuttingDown,
)

# -- 7. While draining, waiting requests are refused, and engines stop when they are free.


def test_drain_lets_requests_in_flight_end_and_refuses_the_others(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k     → start e1 4k
        0   2 asks for 4k     → nothing
        0   3 asks for 4k     → nothing
        1   e1 ready          → grant 1 e1; grant 2 e1
        2   drain             → refuse 3 ShuttingDown
        2   drain             → nothing
        3   4 asks for 4k     → refuse 4 ShuttingDown
        4   1 leaves          → nothing
        5   2 leaves          → stop e1
        5   drain             → nothing
        6   e1 exits          → nothing
        7   5 asks for 4k     → refuse 5 ShuttingDown
    """)
    assert pair.state("4k") is State.STOPPED
    assert isinstance(pair.errors[5], ShuttingDown)


def test_drain_refuses_returning_requests(pair: Script) -> None:
    pair.play("""
        0   1 asks for 4k         → start e1 4k
        0   2 asks for 4k         → nothing
        1   e1 ready              → grant 1 e1; grant 2 e1
        2   drain                 → nothing
        3   1 returns for 8k      → refuse 1 ShuttingDown
        4   2 returns for 4k      → stop e1; refuse 2 ShuttingDown
        5   e1 exits              → nothing
    """)


def test_drain_stops_a_starting_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   drain             → refuse 1 ShuttingDown; stop e1
        1   e1 ready          → nothing
        1   e1 too slow       → nothing
        2   1 leaves          → nothing
        3   e1 exits          → nothing
    """)


def test_drain_stops_an_idle_engine(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   1 leaves          → wake 902
        3   drain             → stop e1
        4   e1 exits          → nothing
        5   tick              → nothing
    """)


def test_drain_finds_an_engine_that_backs_off_and_one_that_stops_already(script: Script) -> None:
    backed_off(script, "8k")
    script.play("""
        2     1 asks for 4k     → start e3 4k
        2     2 asks for other  → nothing
        2.5   1 leaves          → stop e3
        3     drain             → refuse 2 ShuttingDown
        4     e3 exits          → nothing
        4     drain             → nothing
    """)
    assert script.state("8k") is State.BACKOFF


def test_drain_starts_no_smaller_engine(script: Script) -> None:
    used_large(script)
    script.play("""
        302   tick            → stop e1
        302   drain           → nothing
        303   e1 exits        → nothing
    """)


def test_drain_waits_for_an_engine_that_is_being_aborted(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   drain           → nothing
        302   e1 exits        → nothing
    """)


def test_a_draining_engine_that_hangs_or_dies_is_gone_all_the_same(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   drain             → nothing
        3   e1 too slow       → stop e1
        4   e1 exits          → nothing
        5   1 leaves          → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_a_crash_while_draining_leaves_nothing_to_stop(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   drain             → nothing
        3   e1 exits          → nothing
        4   1 leaves          → nothing
    """)
    assert script.state("4k") is State.STOPPED


@pytest.mark.parametrize(
    "before",
    [
        "",
        "1 e1 ready → grant 1 e1",
        "1 e1 ready → grant 1 e1 \n 2 1 leaves → wake 902",
        "1 e1 ready → grant 1 e1 \n 2 drain → nothing",
    ],
    ids=["starting", "active", "idle", "draining"],
)
def test_halt_stops_an_engine_whatever_it_does(script: Script, before: str) -> None:
    script.play("0   1 asks for 4k   → start e1 4k")
    script.play(before)
    refused = "refuse 1 ShuttingDown; " if script.scheduler.waiting else ""
    script.play(f"""
        5   halt              → {refused}stop e1
        5   halt              → nothing
        6   1 leaves          → nothing
        7   e1 exits          → nothing
        8   2 asks for 4k     → refuse 2 ShuttingDown
    """)
    assert script.state("4k") is State.STOPPED


def test_halt_repeats_the_wish_for_an_engine_that_is_being_aborted(script: Script) -> None:
    script.play("""
        0     1 asks for 4k   → start e1 4k
        300   e1 too slow     → refuse 1 EngineStartTimeout; stop e1
        301   halt            → stop e1
        302   e1 exits        → nothing
    """)
    assert script.state("4k") is State.STOPPED


def test_halt_without_an_engine_only_closes(script: Script) -> None:
    script.play("""
        0   halt              → nothing
        1   1 asks for 4k     → refuse 1 ShuttingDown
    """)


# -- Tickets that nobody owns any more


@pytest.mark.parametrize("stale", ["ready", "too slow", "exits"])
@pytest.mark.parametrize("ticket", ["e1", "e99"])
def test_a_late_report_of_an_engine_changes_nothing(
    script: Script, stale: str, ticket: str
) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 exits          → refuse 1 EngineStartFailed
        2   2 asks for 4k     → start e2 4k
    """)
    before = script.snapshot()
    script.play(f"3   {ticket} {stale}   → nothing")
    assert script.snapshot() == before
    script.play("4   e2 ready   → grant 2 e2")


def test_an_engine_is_ready_once(script: Script) -> None:
    script.play("""
        0   1 asks for 4k     → start e1 4k
        1   e1 ready          → grant 1 e1
        2   e1 ready          → nothing
    """)


def test_a_request_that_is_unknown_or_has_ended_leaves_without_effect(script: Script) -> None:
    script.play("""
        0   1 leaves          → nothing
        0   2 asks for 4k     → start e1 4k
        1   e1 ready          → grant 2 e1
        2   2 leaves          → wake 902
        3   2 leaves          → wake 902
    """)


def test_records_stand_in_the_order_of_the_configuration(script: Script) -> None:
    assert [record.variant for record in script.scheduler.records] == list(VARIANTS.values())
    assert script.scheduler.live() is None
    script.play("0   1 asks for 8k   → start e1 8k")
    assert script.scheduler.live() is script.record("8k")


def test_what_is_refused_carries_an_error_for_a_client() -> None:
    script = Script(VARIANTS, Policy(max_queue=1))
    effects = [
        effect
        for request in range(3)
        for effect in script.scheduler.handle(ev.Arrived(request, VARIANTS["4k"], 0.0))
    ]
    assert [type(effect) for effect in effects] == [ev.StartEngine, ev.Refuse, ev.Refuse]
    assert all(isinstance(e.error, GatewayError) for e in effects if isinstance(e, ev.Refuse))


def test_the_snapshot_shows_waiting_requests_and_changes() -> None:
    world = Script({"4k": variant(4096)})
    world.play("0 1 asks for 4k → start e1 4k")
    world.play("0 2 asks for 4k → nothing")
    seen = world.scheduler
    assert seen.queued == 2
    assert seen.waiting == tuple(each.request for each in seen.line(1.0)) == (1, 2)
    (change,) = seen.changes()
    assert (change.engine, change.before, change.after) == (1, State.STOPPED, State.STARTING)
    assert not seen.changes()
