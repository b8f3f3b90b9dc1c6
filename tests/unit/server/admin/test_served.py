"""server/admin/served.py: how the variants of served models are planned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import model

from engine.base import Forecast
from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.lifecycle import State
from server.admin.served import placement, served_view

if TYPE_CHECKING:
    from models.spec import VariantSpec

GIB = 1 << 30


def test_each_variant_has_its_plan_what_was_learnt_and_its_load() -> None:
    spec = model(4096, 8192, name="qwen")
    small, large = spec.variants
    large = replace(large, estimated={"gpu0": 4 * GIB, "ram": GIB // 4})
    spec = replace(spec, variants=(small, large), size=3 * GIB, quantisation="Q4_K_M")
    record = EngineRecord(large, State.READY)
    record.load_seconds = 2.5
    learnt = {"qwen@8192": {"gpu0": 5 * GIB}}
    asked: list[VariantSpec] = []

    def forecast(each: VariantSpec) -> Forecast:
        asked.append(each)
        return Forecast({}, "file")

    [shown] = served_view([spec], [record], learnt, lambda each: f"{each.context}", forecast)
    # What was planned is not planned again.
    assert asked == [small]
    assert (shown["name"], shown["size"], shown["quantisation"]) == ("qwen", 3 * GIB, "Q4_K_M")
    first, second = shown["variants"]
    assert (first["placement"], first["load_seconds"], first["state"]) == ("", None, "stopped")
    assert (first["estimated"], first["unknown"]) == ({}, "file")
    assert second == {
        "label": "qwen@8192",
        "name": 8192,
        "context": 8192,
        "parallel": 1,
        "placement": "gpu",
        "gpu_layers": "8192",
        "estimated": {"gpu0": 4 * GIB, "ram": GIB // 4},
        "unknown": "",
        "learnt": {"gpu0": 5 * GIB},
        "load_seconds": 2.5,
        "state": "ready",
    }


@pytest.mark.parametrize(
    ("memory", "where"),
    [
        ({}, ""),
        ({"ram": 0}, ""),
        ({"ram": 5}, "ram"),
        ({"gpu0": 90, "gpu1": 90, "ram": 10}, "gpu"),
        ({"gpu0": 50, "ram": 50}, "both"),
    ],
)
def test_where_a_variant_is(memory: dict[str, int], where: str) -> None:
    assert placement(memory) == where
