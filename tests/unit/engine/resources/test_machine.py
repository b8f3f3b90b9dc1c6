"""engine/resources/machine.py: the memory of this machine, or of another one."""

from __future__ import annotations

import psutil

from engine.resources.machine import machine_memory
from models.planning import GIB, MachineMemory


def test_the_memory_is_that_of_the_machine_or_what_is_asked_for() -> None:
    ram = psutil.virtual_memory().total
    assert machine_memory().ram == ram
    assert machine_memory(gpus=()) == MachineMemory(ram)
    assert machine_memory(GIB, (2 * GIB,)) == MachineMemory(GIB, (2 * GIB,))


def test_a_mac_shares_its_memory_with_the_gpu() -> None:
    assert machine_memory(16 * GIB, None, "darwin") == MachineMemory(
        16 * GIB, (12 * GIB,), unified=True
    )
