"""Measure memory: by psutil, and by NVML where its driver is installed.

Every call blocks for some milliseconds, so call it in a thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from typing import Any, NamedTuple, Protocol

import psutil

from engine.resources.rules import RAM


class Usage(NamedTuple):
    """Bytes by resource: what processes hold, and what becomes free for certain when they end."""

    held: dict[str, int]
    returns: dict[str, int]


class MemoryProbe(Protocol):
    """Measures the memory of processes and of the machine."""

    def used_by(self, pid: int) -> Usage:
        """Return what the process and its descendants hold; empty once they have ended."""

    def free(self) -> dict[str, int]:
        """Return the free bytes by resource: ``ram``, ``gpu0``, ``gpu1`` and so on."""


class MachineProbe:
    """The probe of this machine. GPUs have NVML's numbers; without a driver there are none."""

    def __init__(self, nvml: Any = None) -> None:  # noqa: ANN401 - the module, or one like it
        self._nvml = nvml
        self._gpus: list[Any] | None = None
        self._lock = threading.Lock()

    def used_by(self, pid: int) -> Usage:
        """Return what the process and its descendants hold; empty once they have ended."""
        resident = private = 0
        pids = set()
        for process in _tree(pid):
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                resident += memory.rss
                # Pages mapped from a file belong to the page cache and stay there. Where the
                # system does not count them separately, nothing is expected back.
                private += memory.rss - getattr(memory, "shared", memory.rss)
                pids.add(process.pid)
        held = {RAM: resident} if resident else {}
        on_gpus = {
            name: used
            for name, gpu in self._named_gpus()
            if (used := self._used_on(gpu, pids)) is not None
        }
        return Usage(held | on_gpus, ({RAM: private} if private else {}) | on_gpus)

    def free(self) -> dict[str, int]:
        """Return the free bytes by resource."""
        free = {RAM: int(psutil.virtual_memory().available)}
        for name, gpu in self._named_gpus():
            with contextlib.suppress(self._nvml.NVMLError):
                free[name] = int(self._nvml.nvmlDeviceGetMemoryInfo(gpu).free)
        return free

    def total(self) -> dict[str, int]:
        """Return all bytes that the machine has, by resource."""
        total = {RAM: int(psutil.virtual_memory().total)}
        for name, gpu in self._named_gpus():
            with contextlib.suppress(self._nvml.NVMLError):
                total[name] = int(self._nvml.nvmlDeviceGetMemoryInfo(gpu).total)
        return total

    def gpus(self) -> list[dict[str, Any]]:
        """Return each GPU: its name, its bytes, its load in percent, its temperature in °C."""
        found = []
        for name, gpu in self._named_gpus():
            view: dict[str, Any] = {"id": name}
            for field, ask in (
                ("name", lambda gpu=gpu: self._nvml.nvmlDeviceGetName(gpu)),
                ("total", lambda gpu=gpu: int(self._nvml.nvmlDeviceGetMemoryInfo(gpu).total)),
                ("free", lambda gpu=gpu: int(self._nvml.nvmlDeviceGetMemoryInfo(gpu).free)),
                ("percent", lambda gpu=gpu: self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu),
                ("celsius", lambda gpu=gpu: self._nvml.nvmlDeviceGetTemperature(gpu, 0)),
            ):
                # Not every GPU has every sensor.
                with contextlib.suppress(self._nvml.NVMLError):
                    view[field] = ask()
            found.append(view)
        return found

    def _named_gpus(self) -> list[tuple[str, Any]]:
        with self._lock:
            if self._gpus is None:
                self._gpus = self._find_gpus()
        return [(f"gpu{number}", gpu) for number, gpu in enumerate(self._gpus)]

    def _find_gpus(self) -> list[Any]:
        if self._nvml is None:
            if not _has_driver():
                return []
            import pynvml  # noqa: PLC0415 - takes time and 2 MB, and few machines need it

            self._nvml = pynvml
        try:
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            return [self._nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        except self._nvml.NVMLError:
            return []

    def _used_on(self, gpu: Any, pids: set[int]) -> int | None:  # noqa: ANN401 - NVML's handle
        used = {}
        for list_processes in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            with contextlib.suppress(self._nvml.NVMLError):
                for process in list_processes(gpu):
                    # Vulkan counts as graphics. Count a process on both lists once.
                    if process.pid in pids and process.usedGpuMemory is not None:
                        used[process.pid] = int(process.usedGpuMemory)
        return sum(used.values()) if used else None


def _has_driver() -> bool:
    """Return whether NVML's driver may be installed; where it is looked for depends on Windows."""
    if sys.platform == "win32":
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _tree(pid: int) -> list[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []
