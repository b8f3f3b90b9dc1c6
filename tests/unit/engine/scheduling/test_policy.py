"""engine/scheduling/policy.py: numbers and limits as the configuration tells them."""

from __future__ import annotations

import pytest
from builders import TYPES, model, variant

from engine.scheduling.eviction import Limits
from engine.scheduling.policy import Policy, address, limits_of, policy_of
from models.catalog import Catalog
from models.spec import GroupSpec, ModelSpec
from utils.config.settings import ServerSettings


def test_a_gateway_collects_requests_unless_told_otherwise() -> None:
    assert policy_of(ServerSettings()) == Policy(max_switch_wait=30.0, min_residency=5.0)


def test_every_number() -> None:
    settings = ServerSettings(
        max_queue=1, shrink_after=2.0, shrink_requests=3, max_switch_wait=4.0, min_residency=5.0
    )
    assert policy_of(settings) == Policy(1, 2.0, 3, 4.0, 5.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://127.0.0.1:8080"),
        ("http://host", "http://host:80"),
    ],
)
def test_one_place_written_in_two_ways(one: str, other: str) -> None:
    assert address(one) == address(other)


def test_another_host_or_port_is_another_place() -> None:
    places = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://host:1"]
    assert len({address(place) for place in places}) == 3


def test_groups_and_pinned_models() -> None:
    models = [model(name="a", group="g"), model(name="b", pinned=True), model(name="c", group="h")]
    groups = [GroupSpec("g", persistent=True), GroupSpec("h")]
    assert limits_of(Catalog(models, groups=groups), ServerSettings(), TYPES) == Limits(
        groups={"a": "g", "c": "h"}, pinned=frozenset({"b"}), persistent=frozenset({"g"})
    )


def test_limits_of_a_configuration() -> None:
    ported = ModelSpec("p", (variant(512, "p", args=("--port", "9")), variant(1024, "p")))
    catalog = Catalog([model(512, 1024, name="c", connect="http://localhost:9"), ported])
    settings = ServerSettings(max_loaded_models=4, resources={"r": 1})
    assert limits_of(catalog, settings, TYPES) == Limits(
        4,
        resources={"r": 1},
        addresses={"c@512": "localhost:9", "c@1024": "localhost:9", "p@512": "localhost:9"},
    )
