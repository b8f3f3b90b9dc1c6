"""models/routing/pick.py: the order in which the models of a rule are asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from models.routing.pick import PICKERS, Candidate, Seen, ordered, soonest
from utils.config.routes import PickTable

NAMES = ("a", "b", "c")
CANDIDATES = [Candidate(name, (name,)) for name in NAMES]


class Shown(dict[str, Seen]):
    def seen(self, model: str) -> Seen:
        return self.get(model, Seen())


def order(running: dict[str, Seen], key: str = "", **table: Any) -> str:
    found = ordered(PickTable(**table), CANDIDATES, Shown(running), key)
    return "".join(each.name for each in found)


@pytest.mark.parametrize(
    ("pick", "running", "expected"),
    [
        ("first", {"b": Seen(ready=True)}, "abc"),
        ("warm", {}, "abc"),
        ("warm", {"b": Seen(starting=True), "c": Seen(ready=True)}, "cba"),
        ("cheapest_to_load", {}, "abc"),
        ("cheapest_to_load", {"a": Seen(load_seconds=9), "c": Seen(load_seconds=2)}, "cab"),
        ("cheapest_to_load", {"b": Seen(starting=True), "c": Seen(load_seconds=2)}, "bca"),
        ("spillover", {}, "abc"),
        ("spillover", {"a": Seen(busy=2)}, "bca"),
        ("spillover", {"a": Seen(busy=2), "b": Seen(busy=1)}, "cba"),
        ("spillover", {"a": Seen(busy=1), "b": Seen(busy=5)}, "acb"),
    ],
)
def test_pickers(pick: str, running: dict[str, Seen], expected: str) -> None:
    assert order(running, pick=pick, limits={"a": 2, "b": 1}) == expected


@pytest.mark.parametrize(
    ("running", "stays", "expected"),
    [
        ({}, None, "abc"),
        ({"b": Seen(ready=True, free=1)}, None, "bac"),
        ({"a": Seen(ready=True), "b": Seen(loadable=False)}, None, "cab"),
        (
            {"a": Seen(ready=True, busy=3), "b": Seen(ready=True, busy=1), "c": Seen(gone=True)},
            None,
            "bac",
        ),
        ({"a": Seen(starting=True, busy=1), "b": Seen(loadable=False)}, None, "cab"),
        ({"a": Seen(ready=True, free=1)}, "c", "cab"),
        ({"a": Seen(ready=True, free=1), "c": Seen(gone=True)}, "c", "abc"),
    ],
)
def test_a_shared_name_goes_where_it_is_answered_first(
    running: dict[str, Seen], stays: str | None, expected: str
) -> None:
    assert "".join(soonest(NAMES, Shown(running), stays)) == expected


def test_weights_are_shares_of_the_keys() -> None:
    picked = Counter(
        order({}, str(n), pick="weighted", weights={"a": 8, "b": 0})[0] for n in range(2000)
    )
    assert picked["b"] == 0
    assert 0.8 < picked["a"] / 2000 < 0.96
    assert picked["c"] == 2000 - picked["a"]


def test_a_conversation_stays_where_its_weight_has_put_it() -> None:
    assert len({order({}, "one", pick="weighted") for _ in range(10)}) == 1


@pytest.mark.parametrize("pick", PICKERS)
def test_no_candidate_is_lost(pick: str) -> None:
    assert sorted(order({}, pick=pick, weights={"a": 0, "b": 0, "c": 0})) == list(NAMES)
