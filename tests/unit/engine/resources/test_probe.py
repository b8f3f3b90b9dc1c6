"""probe.py: real processes, and NVML as the driver answers it (there may be none here)."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import psutil
from fake_nvml import FakeNvml

from engine.resources.probe import MachineProbe

MIB = 1024 * 1024
HOLD = "import sys; x = bytearray(%d * 1024 * 1024); print('held', flush=True); sys.stdin.read()"


def holding(mib: int, *front: str) -> subprocess.Popen[str]:
    argv = [*front, sys.executable, "-c", HOLD % mib]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_process_and_its_children_are_measured_together() -> None:
    # The shell stays, as a wrapper script does, and the child holds the memory.
    with holding(48, "/bin/sh", "-c", '"$@"; exit', "sh") as wrapper:
        usage = MachineProbe(FakeNvml()).used_by(wrapper.pid)
        assert 48 * MIB < usage.held["ram"] < 150 * MIB
        assert 48 * MIB < usage.returns["ram"] < usage.held["ram"]
        wrapper.communicate()
    assert MachineProbe(FakeNvml()).used_by(wrapper.pid) == ({}, {})


def test_what_is_free_is_the_systems_word() -> None:
    free = MachineProbe().free()
    assert 0 < free["ram"] <= psutil.virtual_memory().total


def test_without_a_driver_there_are_quietly_no_gpus() -> None:
    probe = MachineProbe(FakeNvml(driver=False))
    assert set(probe.used_by(os.getpid()).held) == {"ram"}
    assert set(probe.free()) == {"ram"}


def test_the_real_library_does_not_fail_here() -> None:
    probe = MachineProbe()
    assert probe.used_by(os.getpid()).held["ram"] > MIB
    assert all(name == "ram" or name.startswith("gpu") for name in probe.free())


def process(pid: int, used: int | None) -> Any:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def test_gpus_are_counted_per_process_of_the_tree() -> None:
    me = os.getpid()
    nvml = FakeNvml(
        free=[7000, 9000, 500],
        compute=[[process(me, 4000), process(1, 99)], [process(me, None)], []],
        graphics=[[process(me, 4000)], [], [process(1, 5)]],
    )
    probe = MachineProbe(nvml)
    usage = probe.used_by(me)
    assert {name: n for name, n in usage.held.items() if name != "ram"} == {"gpu0": 4000}
    assert usage.returns["gpu0"] == 4000
    assert {n: free for n, free in probe.free().items() if n != "ram"} == {
        "gpu0": 7000,
        "gpu1": 9000,
        "gpu2": 500,
    }
    assert nvml.inits == 1


def test_a_gpu_that_fails_later_is_left_out() -> None:
    nvml = FakeNvml(free=[7000], compute=[[process(os.getpid(), 4000)]], graphics=[[]])
    probe = MachineProbe(nvml)
    assert probe.used_by(os.getpid()).held["gpu0"] == 4000
    nvml.lost = True
    assert "gpu0" not in probe.used_by(os.getpid()).held
    assert "gpu0" not in probe.free()


def test_all_memory_of_the_machine_is_told() -> None:
    nvml = FakeNvml(free=[7000])
    probe = MachineProbe(nvml)
    assert probe.total() == {"ram": psutil.virtual_memory().total, "gpu0": 14000}
    nvml.lost = True
    assert [*probe.total()] == ["ram"]
