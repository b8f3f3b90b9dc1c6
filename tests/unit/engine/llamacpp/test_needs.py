"""engine/llamacpp/needs.py: what an engine with arguments of its own will take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import EIGHT_LAYERS

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.needs import by_resource, forecast
from models.estimate import Setup, estimate
from models.planning import GIB, MachineMemory, Wishes, plan

RAM = MachineMemory(16 * GIB)
GPUS = MachineMemory(16 * GIB, (9 * GIB, 5 * GIB))


def needs(words: str, machine: MachineMemory = RAM, beside: int = 0) -> dict[str, int]:
    found = forecast(Arguments(words.split(), {}), EIGHT_LAYERS, machine, beside)
    assert found.unknown == ""
    return dict(found.needs)


def test_in_main_memory_it_is_the_estimate_of_a_plan() -> None:
    whole = estimate(EIGHT_LAYERS, Setup(8192)).total
    assert needs("-c 8192 -np 1") == {"ram": whole}
    assert needs("-c 8192", beside=7) == {"ram": whole + 7}
    planned = plan(EIGHT_LAYERS, RAM, Wishes((8192,)))
    assert needs("-c 8192 -ngl 4") == by_resource(planned.variants[0], RAM)


@pytest.mark.parametrize(
    ("words", "setup"),
    [
        ("-c 8192 -np 4", Setup(8192, 4)),
        ("-c 8192 -np 4 -kvu", Setup(8192)),
        ("-np 1", Setup(65536)),
        ("-c 8192 -ctk q8_0 -ctv q4_0 -fa on", Setup(8192, keys="q8_0", values="q4_0")),
        ("-c 8192 -fa off -ub 64", Setup(8192, batch=64, flash_attention=False)),
    ],
)
def test_the_arguments_count(words: str, setup: Setup) -> None:
    assert needs(words) == {"ram": estimate(EIGHT_LAYERS, setup).total}


@pytest.mark.parametrize("layers", ["", "-ngl all", "-ngl 99"])
def test_gpus_share_what_is_for_them(layers: str) -> None:
    found = needs(f"-c 8192 {layers}", GPUS)
    assert set(found) == {"ram", "gpu0", "gpu1"}
    assert found["gpu0"] == pytest.approx(2 * found["gpu1"], rel=0.01)
    assert sum(found.values()) == pytest.approx(estimate(EIGHT_LAYERS, Setup(8192)).total, rel=0.01)
    assert needs("-c 8192 -ngl 0", GPUS) == needs("-c 8192")


def test_all_layers_are_on_gpus_even_if_they_do_not_fit() -> None:
    small = replace(GPUS, gpus=(2 * GIB,))
    assert needs("-c 8192 -ngl 99", small)["gpu0"] > 2 * GIB > needs("-c 8192", small)["gpu0"]
    unified = MachineMemory(16 * GIB, (12 * GIB,), unified=True)
    assert needs("-c 8192 -ngl 99", unified) == {"ram": estimate(EIGHT_LAYERS, Setup(8192)).total}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("-c 8192 -ngl 4", "layers"),
        ("-c 8192 --n-cpu-moe 2", "layers"),
        ("-c 8192 -ctk q9", "arguments"),
    ],
)
def test_what_is_not_known_has_a_reason(words: str, why: str) -> None:
    said = Arguments(words.split(), {})
    assert forecast(said, EIGHT_LAYERS, GPUS) == ({}, why)
    assert forecast(said, None, GPUS) == ({}, "file")
