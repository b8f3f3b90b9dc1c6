"""admission.py: who waits, who holds an engine, and who is told that it gets none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import variant

from engine.scheduling import events as ev
from engine.scheduling.admission import Admission
from engine.scheduling.engine_table import EngineTable
from engine.scheduling.eviction import Limits
from engine.scheduling.policy import Policy
from engine.scheduling.queue import Waiting
from utils.errors import (
    ConfigurationChanged,
    EngineOutOfMemory,
    EngineStartFailed,
    ModelNotFound,
    QueueFull,
    ShuttingDown,
)

if TYPE_CHECKING:
    from models.spec import VariantSpec
    from utils.errors import GatewayError

SMALL, LARGE, OTHER = variant(4096), variant(8192), variant(4096, "other")


class World:
    """The requests of an engine table; ``out`` is what came of them so far."""

    def __init__(self) -> None:
        self.engines = EngineTable((SMALL, LARGE, OTHER), Limits())
        self.admission = Admission(self.engines, 0.0)
        self.small = self.engines.records["m@4096"]
        self.large = self.engines.records["m@8192"]
        self.out: list[ev.Effect] = []

    @property
    def waiting(self) -> list[int]:
        return [each.request for each in self.admission.queue]

    @property
    def refused(self) -> list[tuple[int, type[GatewayError]]]:
        refusals = [each for each in self.out if isinstance(each, ev.Refuse)]
        assert len(refusals) == len(self.out)
        return [(each.request, type(each.error)) for each in refusals]

    def arrive(
        self, request: int, minimum: VariantSpec = SMALL, *smaller: VariantSpec
    ) -> Waiting | None:
        arrived = ev.Arrived(request, minimum, fallbacks=smaller, keep_alive=5.0, now=1.0)
        self.admission.arrive(arrived, self.out)
        return next((each for each in self.admission.queue if each.request == request), None)

    def granted(self, request: int, now: float = 0.0) -> None:
        waiting = self.arrive(request)
        assert waiting is not None
        self.admission.grant(waiting, self.small, now)

    def reconfigure(self, *variants: VariantSpec) -> None:
        self.engines.reconfigure(ev.Reconfigure(variants, frozenset(), Policy(), Limits(), 9.0))


class TestArrival:
    def test_a_new_request_waits_as_it_asked(self) -> None:
        world = World()
        event = ev.Arrived(1, LARGE, fallbacks=(SMALL,), client="ann", keep_alive=5.0, now=3.0)
        world.admission.arrive(event, world.out)
        (waiting,) = world.admission.queue
        assert waiting == Waiting(1, LARGE, 3.0, "ann", fallbacks=(SMALL,), keep_alive=5.0)
        assert not world.out

    def test_what_is_not_configured_any_more(self) -> None:
        world = World()
        world.reconfigure(SMALL, variant(16384))
        grown = world.arrive(1, LARGE, LARGE, SMALL)
        assert grown is not None
        assert (grown.minimum.context, grown.fallbacks) == (16384, (SMALL,))
        assert world.arrive(2, variant(32768)) is None
        assert world.arrive(3, OTHER) is None
        assert world.refused == [(2, ConfigurationChanged), (3, ModelNotFound)]

    def test_where_memory_lacks_the_next_smaller_one_is_asked_for(self) -> None:
        world = World()
        world.large.shortages, world.large.retry_at = 2, 10.0
        for request, smaller, asked in [(1, (SMALL,), SMALL), (2, (), LARGE)]:
            waiting = world.arrive(request, LARGE, *smaller)
            assert waiting is not None
            assert waiting.minimum is asked
            assert waiting.fallbacks == ()
        world.large.retry_at = 0.5
        waiting = world.arrive(3, LARGE, SMALL)
        assert waiting is not None
        assert waiting.minimum is LARGE, "it may be tried again"

    def test_the_last_of_too_many_is_refused(self) -> None:
        world = World()
        world.arrive(1)
        world.arrive(2)
        world.admission.limit(2, 1, 1.0, world.out)
        assert world.refused == [(2, QueueFull)]
        world.admission.limit(1, 1, 1.0, world.out)
        world.admission.limit(2, 0, 1.0, world.out)
        assert world.waiting == [1], "who does not wait is not refused for it"

    def test_a_refusal_tells_of_what_loads(self) -> None:
        world = World()
        world.engines.start(world.small, 0.0, [])
        world.arrive(1)
        world.arrive(2)
        world.admission.limit(2, 1, 1.0, world.out)
        (refusal,) = world.out
        assert isinstance(refusal, ev.Refuse)
        assert f"while {SMALL.label} loads" in refusal.error.message


class TestHolds:
    def test_a_grant_ends_the_waiting_and_its_end_the_hold(self) -> None:
        world = World()
        world.engines.start(world.small, 0.0, [])
        world.granted(1, 2.0)
        assert world.waiting == []
        assert world.small.active == {1}
        held = world.admission.end(1, 7.0)
        assert held is not None
        assert (held.record, held.ticket, held.since) == (world.small, 1, 2.0)
        assert not world.small.active
        assert world.small.idle_since == 7.0
        assert world.admission.end(1, 8.0) is None, "it is given back once"
        assert world.small.idle_since == 7.0

    def test_one_that_waits_may_end(self) -> None:
        world = World()
        world.arrive(1)
        assert world.admission.end(1, 2.0) is None
        assert world.waiting == []

    def test_a_hold_on_a_run_that_is_over_is_no_hold_on_the_next(self) -> None:
        world = World()
        world.engines.start(world.small, 0.0, [])
        world.granted(1)
        world.engines.exited(ev.EngineExited(1, "gone", 1.0))
        world.engines.start(world.small, 2.0, [])
        world.small.idle_since = 0.0
        assert world.admission.end(1, 7.0) is not None
        assert world.small.idle_since == 0.0

    def test_long_holds_make_long_waits(self) -> None:
        world = World()
        world.engines.start(world.small, 0.0, [])
        for request in range(1, 50):
            world.granted(request, 0.0)
            world.admission.end(request, 20.0)
        for request in (50, 51, 52):
            world.arrive(request)
        world.admission.limit(52, 2, 30.0, world.out)
        (refusal,) = world.out
        assert isinstance(refusal, ev.Refuse)
        assert isinstance(refusal.error, QueueFull)
        assert round(refusal.error.retry_after or 0.0) == 40

    def advised(self, world: World, request: int = 9) -> float:
        """When to come back, for one who finds the others waiting; a second for each of them."""
        world.out.clear()
        world.admission.limit(request, 1, 10.0, world.out)
        (refusal,) = world.out
        assert isinstance(refusal, ev.Refuse)
        assert isinstance(refusal.error, QueueFull)
        return refusal.error.retry_after

    def test_engines_that_others_wait_for_are_to_be_loaded_first(self) -> None:
        world = World()
        other = world.engines.records["other@4096"]
        world.small.load_seconds, world.large.load_seconds, other.load_seconds = 3.0, 5.0, 20.0
        for request, minimum in [(1, SMALL), (2, SMALL), (9, OTHER)]:
            world.arrive(request, minimum)
        assert self.advised(world) == 2 + 3.0, "no request waits for the refused one's engine"
        for request, minimum in [(3, LARGE), (4, SMALL), (9, OTHER)]:
            world.arrive(request, minimum)
        assert self.advised(world) == 4 + 5.0, "the larger serves all of its model"
        for request, minimum in [(5, OTHER), (9, OTHER)]:
            world.arrive(request, minimum)
        assert self.advised(world) == 5 + 5.0 + 20.0

    def test_engines_that_run_are_not_to_be_loaded(self) -> None:
        world = World()
        world.small.load_seconds, world.large.load_seconds = 3.0, 5.0
        world.engines.start(world.small, 9.0, [])
        world.engines.ready(ev.EngineReady(1, 10.0))
        for request in (1, 2, 9):
            world.arrive(request, SMALL)
        assert self.advised(world) == 2.0
        for request, minimum in [(3, LARGE), (9, SMALL)]:
            world.arrive(request, minimum)
        assert self.advised(world) == 3 + 5.0, "it is too small for one of them"
        world.engines.stop(world.small, [])
        world.admission.queue.drop(3)
        world.arrive(9, SMALL)
        # Its load has taken a second meanwhile.
        assert self.advised(world) == 2 + 1.0, "it ends"


class TestReturn:
    def returned(self, world: World, minimum: VariantSpec, *, held: bool = True) -> Waiting | None:
        world.engines.start(world.large, 0.0, [])
        if held:
            waiting = world.arrive(1, SMALL, SMALL)
            assert waiting is not None
            world.admission.grant(waiting, world.large, 2.0)
        world.arrive(2)
        event = ev.Returned(1, minimum, 5.0)
        world.admission.readmit(event, world.admission.end(1, 5.0), world.out)
        return next((each for each in world.admission.queue if each.request == 1), None)

    def test_it_keeps_its_turn_and_what_would_do(self) -> None:
        world = World()
        waiting = self.returned(world, SMALL)
        assert waiting is not None
        assert world.waiting == [1, 2]
        assert waiting.returned
        assert (waiting.since, waiting.keep_alive, waiting.fallbacks) == (1.0, 5.0, (SMALL,))

    def test_a_request_for_a_larger_variant_takes_no_smaller_one(self) -> None:
        waiting = self.returned(World(), LARGE)
        assert waiting is not None
        assert (waiting.minimum, waiting.fallbacks) == (LARGE, ())

    def test_one_that_held_nothing(self) -> None:
        waiting = self.returned(World(), SMALL, held=False)
        assert waiting == Waiting(1, SMALL, 5.0, returned=True)

    def test_while_closing(self) -> None:
        world = World()
        world.admission.close(world.out)
        event = ev.Returned(1, SMALL, 5.0)
        world.admission.readmit(event, None, world.out)
        world.arrive(2)
        assert world.waiting == []
        assert world.refused == [(1, ShuttingDown), (2, ShuttingDown)]

    def test_to_a_variant_that_is_gone(self) -> None:
        world = World()
        world.reconfigure(SMALL)
        world.admission.readmit(ev.Returned(1, OTHER, 5.0), None, world.out)
        assert world.waiting == []
        assert world.refused == [(1, ModelNotFound)]


class TestAll:
    def test_a_failed_start_is_told_to_requests_that_wait_for_that_variant(self) -> None:
        world = World()
        world.arrive(1, LARGE, SMALL)
        world.arrive(2, SMALL)
        world.admission.refuse_for(world.large, EngineStartFailed("no luck", 1.0), world.out)
        assert world.refused == [(1, EngineStartFailed)]
        assert world.waiting == [2]

    def test_for_lack_of_memory_those_move_that_can(self) -> None:
        world = World()
        moved = world.arrive(1, LARGE, SMALL)
        world.arrive(2, LARGE)
        world.admission.refuse_for(world.large, EngineOutOfMemory("too much", 1.0), world.out)
        assert world.refused == [(2, EngineOutOfMemory)]
        assert moved is not None
        assert moved.minimum is SMALL

    def test_another_configuration_holds_for_waiting_requests(self) -> None:
        world = World()
        waiting = world.arrive(1, SMALL)
        world.arrive(2, OTHER)
        world.reconfigure(LARGE)
        world.admission.reconfigure(world.out)
        assert waiting is not None
        assert waiting.minimum is LARGE
        assert world.refused == [(2, ModelNotFound)]

    def test_at_the_end_nobody_waits(self) -> None:
        world = World()
        world.arrive(1)
        world.arrive(2)
        world.admission.close(world.out)
        assert world.admission.closing
        assert world.refused == [(1, ShuttingDown), (2, ShuttingDown)]
        assert world.waiting == []
