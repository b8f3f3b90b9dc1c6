"""engine/resources/rules.py: declared and learnt needs, and when memory is back."""

from __future__ import annotations

import pytest
from builders import variant

from engine.resources.rules import combined, expected, fingerprint, is_back, moved, peak, taken


def test_what_is_declared_wins_and_the_rest_is_learnt_and_capped() -> None:
    there = {"gpu0": 24, "ram": 64}
    assert taken({"gpu0": 18}, {"gpu0": 20, "ram": 3}, there) == {"gpu0": 18, "ram": 3}
    assert taken({}, {"gpu0": 99, "gpu1": 5}, there) == {"gpu0": 24}
    assert taken({"gpu0": 0}, {"gpu0": 7}, there) == {"gpu0": 0}
    assert taken({"disk": 1}, {}, there) == {"disk": 1}
    assert taken({}, {"ram": 9}, {}) == {}


def test_measured_before_projected() -> None:
    assert combined({"ram": 5, "gpu0": 9}, {"ram": 7, "gpu0": 8, "gpu1": 8}) == {
        "ram": 7,
        "gpu0": 9,
    }
    assert combined({"ram": 5}, {"ram": 3, "gpu0": 8}) == {"ram": 5, "gpu0": 8}
    assert combined({}, {"gpu0": 8}) == {"gpu0": 8}
    assert combined({"gpu0": 8}, {"ram": 2}) == {"ram": 2, "gpu0": 8}
    assert combined({}, {}) == {}


def test_peaks() -> None:
    assert peak({"a": 1, "b": 5}, {"a": 2, "c": 3}) == {"a": 2, "b": 5, "c": 3}


@pytest.mark.parametrize(
    ("free", "needs", "owed", "back"),
    [
        ({"ram": 5}, {}, {}, True),
        ({"ram": 5}, {"gpu0": 9}, {"gpu0": 9}, True),  # no meter for it
        ({"ram": 5}, {"ram": 5}, {}, True),
        ({"ram": 5}, {"ram": 6}, {}, False),
        ({"ram": 5, "gpu0": 5}, {"ram": 5, "gpu0": 6}, {}, False),
        ({"gpu0": 5}, {"gpu0": 5}, {"gpu0": 9}, True),
        ({"gpu0": 5}, {"gpu0": 6}, {"gpu0": 5}, True),  # others have the rest; waiting is no use
        ({"gpu0": 5}, {"gpu0": 6}, {"gpu0": 6}, False),
        ({"gpu0": 5}, {}, {"gpu0": 5}, True),
        ({"gpu0": 5}, {}, {"gpu0": 6}, False),
        ({"ram": 5, "gpu0": 5}, {"ram": 5}, {"gpu0": 6}, False),
        ({"ram": 5, "gpu0": 5}, {"ram": 5, "gpu0": 0}, {"gpu0": 6}, True),
        ({"ram": 5}, {}, {"ram": 6}, True),
        ({"ram": 5}, {"ram": 7}, {"ram": 6}, False),
        ({"ram": 6}, {"ram": 7}, {"ram": 6}, True),
    ],
)
def test_when_memory_is_back(
    free: dict[str, int], needs: dict[str, int], owed: dict[str, int], back: bool
) -> None:
    assert is_back(free, needs, owed) is back


def test_a_definition_has_a_fingerprint() -> None:
    plain = variant(args=("-c", "512"), env={"A": "1"})
    same = variant(args=("-c", "512"), env={"A": "1"})
    known = fingerprint(plain, {}, ("m", 1, 2))
    assert fingerprint(same, {}, ("m", 1, 2)) == known
    others = [
        fingerprint(plain, {}, ("m", 1, 3)),
        fingerprint(plain, {"LLAMA_ARG_N_GPU_LAYERS": "9"}, ("m", 1, 2)),
        fingerprint(variant(args=("-c", "513"), env={"A": "1"}), {}, ("m", 1, 2)),
        fingerprint(variant(args=("-c", "512"), env={"A": "2"}), {}, ("m", 1, 2)),
        fingerprint(variant(8192, args=("-c", "512"), env={"A": "1"}), {}, ("m", 1, 2)),
    ]
    assert len({known, *others}) == 6


def test_what_is_learnt_replaces_the_plan_but_a_gpu_is_not_thought_smaller() -> None:
    plan = {"ram": 5, "gpu0": 20}
    assert expected(plan, {}) == plan
    assert expected(plan, {"ram": 3, "gpu0": 8}) == {"ram": 3, "gpu0": 20}
    assert expected(plan, {"ram": 9, "gpu0": 22}) == {"ram": 9, "gpu0": 22}
    assert expected({}, {"ram": 9}) == {"ram": 9}


@pytest.mark.parametrize(
    ("measured", "away"),
    [
        ({"ram": 5, "gpu0": 20, "gpu1": 10}, 0),
        ({"ram": 5, "gpu0": 17, "gpu1": 10}, 0),
        ({"ram": 15, "gpu0": 12, "gpu1": 8}, 10),
        # Nothing is known of GPUs, as without a driver.
        ({"ram": 15}, 0),
        ({}, 0),
    ],
)
def test_layers_that_are_not_on_the_gpu_are_noticed(measured: dict[str, int], away: int) -> None:
    assert moved({"ram": 1, "gpu0": 20, "gpu1": 10}, measured) == away
    assert moved({"ram": 1}, measured) == 0
