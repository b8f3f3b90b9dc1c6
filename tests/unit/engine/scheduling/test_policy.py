"""The scheduler's numbers are those of the configuration."""

from __future__ import annotations

from engine.scheduling.policy import Policy, policy_of
from utils.config.settings import ServerSettings


def test_a_gateway_collects_requests_unless_told_otherwise() -> None:
    assert policy_of(ServerSettings()) == Policy(max_switch_wait=30.0, min_residency=5.0)


def test_every_number() -> None:
    settings = ServerSettings(
        max_queue=1, shrink_after=2.0, shrink_requests=3, max_switch_wait=4.0, min_residency=5.0
    )
    assert policy_of(settings) == Policy(1, 2.0, 3, 4.0, 5.0)
