"""The memory of this machine, for plans."""

from __future__ import annotations

import sys

from engine.resources.probe import MachineProbe
from engine.resources.rules import RAM
from models.planning import MachineMemory

# What a GPU may take of the memory that it shares with the processor.
_GPU_SHARE = 0.75


def machine_memory(
    ram: int | None = None, gpus: tuple[int, ...] | None = None, platform: str = sys.platform
) -> MachineMemory:
    """Return all memory of this machine, or what ``ram`` and ``gpus`` say instead. Blocks."""
    total = MachineProbe().total()
    own = total.pop(RAM)
    ram = own if ram is None else ram
    if gpus is not None:
        return MachineMemory(ram, gpus)
    if platform == "darwin" and not total:
        return MachineMemory(ram, (int(ram * _GPU_SHARE),), unified=True)
    return MachineMemory(ram, tuple(total.values()))
