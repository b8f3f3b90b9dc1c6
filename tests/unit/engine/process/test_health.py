"""engine/process/health.py: how many looks in vain an engine is given."""

from __future__ import annotations

import pytest

from engine.process.health import HealthChecks, Pulse, StallWatch, checks_of
from utils.config.settings import ServerSettings

DEAF = "the verdict"


def verdicts(failures: int, *looks: tuple[bool, int]) -> list[int | str]:
    """Return how many looks had failed in a row after each one, or the verdict."""
    pulse = Pulse(HealthChecks(1.0, failures))
    return [
        DEAF if pulse.unresponsive(healthy=healthy, heard=heard) else pulse.failed
        for healthy, heard in looks
    ]


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_so_many_in_a_row(failures: int) -> None:
    looks = [(False, 0)] * failures
    assert verdicts(failures, *looks) == [*range(1, failures), DEAF]


def test_one_answer_between_them_and_the_count_begins_again() -> None:
    looks = [(False, 0), (False, 0), (True, 0), (False, 0), (False, 0), (False, 0)]
    assert verdicts(3, *looks) == [1, 2, 0, 1, 2, DEAF]


def test_what_answers_requests_lives() -> None:
    looks = [(False, 4), (False, 9), (False, 9), (False, 10), (False, 10), (False, 10)]
    assert verdicts(2, *looks) == [0, 0, 1, 0, 1, DEAF]


def test_a_healthy_look_remembers_what_was_heard_until_then() -> None:
    assert verdicts(1, (True, 7), (False, 7)) == [0, DEAF]


def test_the_configuration_says_how_often_and_how_many() -> None:
    assert checks_of(ServerSettings()) == HealthChecks()
    settings = ServerSettings(health_check_interval=0.5, health_check_failures=7)
    assert checks_of(settings) == HealthChecks(0.5, 7)


def stalls(limit: float, *looks: tuple[float, int, int, tuple[int, ...] | None]) -> list[bool]:
    """Return the verdict of each look: time, active requests, pieces of answers, counters."""
    watch = StallWatch(limit, 0.0)
    return [
        watch.stalled(now, active=active, answered=answered, counters=counters)
        for now, active, answered, counters in looks
    ]


class TestStallWatch:
    def test_nothing_moves_for_the_whole_limit(self) -> None:
        looks = [(5, 1, 0, (1, 0)), (9, 1, 0, (1, 0)), (14, 1, 0, (1, 0)), (15, 1, 0, (1, 0))]
        assert stalls(10, *looks) == [False, False, False, True]

    def test_a_counter_that_moves(self) -> None:
        looks = [(9, 1, 0, (1, 0)), (18, 1, 0, (1, 2048)), (27, 1, 0, (1, 4096))]
        assert not any(stalls(10, *looks))

    def test_an_answer_that_moves(self) -> None:
        assert not any(stalls(10, (9, 1, 1, (1,)), (18, 1, 2, (1,)), (27, 1, 3, (1,))))

    def test_without_a_request_nothing_need_move(self) -> None:
        assert not any(stalls(10, (9, 0, 0, (1,)), (30, 0, 0, (1,)), (35, 1, 0, (1,))))

    def test_slots_that_are_not_at_work_wait_for_the_client(self) -> None:
        assert not any(stalls(10, (9, 1, 5, ()), (30, 1, 5, ()), (50, 1, 5, ())))

    def test_an_engine_that_never_told_its_counters_is_not_judged(self) -> None:
        assert not any(stalls(10, (9, 1, 5, None), (30, 1, 5, None), (50, 1, 5, None)))

    @pytest.mark.parametrize("before", [(), (1, 7)])
    def test_one_that_does_not_tell_them_any_more_has_not_moved(
        self, before: tuple[int, ...]
    ) -> None:
        looks = [(0, 1, 0, before), (5, 1, 0, None), (10, 1, 0, None), (15, 1, 0, None)]
        assert stalls(10, *looks)[-1]
