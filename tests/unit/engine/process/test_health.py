"""engine/process/health.py: how many looks in vain an engine is given."""

from __future__ import annotations

import pytest

from engine.process.health import HealthChecks, Pulse, checks_of
from utils.config.settings import ServerSettings

DEAF = "the verdict"


def verdicts(failures: int, *looks: tuple[bool, int]) -> list[int | str]:
    """How many had failed in a row after each look, or the verdict."""
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
