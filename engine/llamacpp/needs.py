"""What an engine with arguments of its own will take, by the estimate that plans are made of. Pure.

Without GPUs all of it is in main memory. With them, where its layers go is only known if it chooses
by the memory itself, or if all layers are on one side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.base import Forecast
from engine.llamacpp.arguments import (
    CACHE_KEYS,
    CACHE_VALUES,
    FLASH_ATTENTION,
    GPU_LAYERS,
    LAYERS_ELSEWHERE,
    SLOTS,
    UBATCH,
    layers_shown,
)
from engine.resources.rules import RAM
from models.planning import MARGIN, MachineMemory, Wishes, plan

if TYPE_CHECKING:
    from engine.llamacpp.arguments import Arguments
    from models.model_file import FileFacts
    from models.planning import PlannedVariant

# A GPU that holds any model, to find out what the whole of one takes.
_ENOUGH = 1 << 60


def forecast(
    said: Arguments, facts: FileFacts | None, machine: MachineMemory, beside: int = 0
) -> Forecast:
    """Return what the engine will take on this machine, or why that is not known.

    ``beside`` is the size in bytes of what is loaded beside the model.
    """
    if facts is None:
        return Forecast({}, "file")
    on_gpu = _on_gpu(said, facts)
    if machine.gpus and (on_gpu is None or any(map(said.given, LAYERS_ELSEWHERE))):
        return Forecast({}, "layers")
    there = machine
    if on_gpu == "none":
        there = MachineMemory(machine.ram)
    elif on_gpu == "all" and machine.gpus:
        there = replace(machine, gpus=(_ENOUGH,))
    try:
        [each] = plan(facts, there, _wishes(said, facts, beside)).variants
    except ValueError:
        return Forecast({}, "arguments")
    return Forecast(by_resource(each, machine))


def by_resource(each: PlannedVariant, machine: MachineMemory) -> dict[str, int]:
    """Return what a planned engine takes of each resource: GPUs get their share by their size."""
    if machine.unified:
        return {RAM: each.gpu + each.ram}
    room = [max(0, gpu - MARGIN) for gpu in machine.gpus]
    needs = {f"gpu{n}": each.gpu * one // sum(room) for n, one in enumerate(room) if one}
    return {RAM: each.ram} | {name: size for name, size in needs.items() if size}


def _on_gpu(said: Arguments, facts: FileFacts) -> str | None:
    """Return which layers are on GPUs: "all", "none", "auto"; None for some of them."""
    shown = layers_shown(said.value(GPU_LAYERS))
    if shown in {"all", "auto"}:
        return shown
    if not shown.isdecimal():
        return None
    if not int(shown):
        return "none"
    return "all" if int(shown) > facts.layers else None


def _wishes(said: Arguments, facts: FileFacts, beside: int) -> Wishes:
    slots = 1 if said.unified() else max(1, said.number(SLOTS) or 1)
    keys = said.value(CACHE_KEYS) or "f16"
    return Wishes(
        (said.slot_context() or facts.context_length,),
        keys,
        said.number(UBATCH) or 0,
        said.value(FLASH_ATTENTION) not in {"off", "0", "false", "disabled"},
        beside,
        slots,
        values=said.value(CACHE_VALUES) or "f16",
    )
