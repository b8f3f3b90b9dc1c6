"""NVML for machines without a GPU: the calls that the probe makes, with fixed answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class FakeNvml:
    """Replaces the ``pynvml`` module; a GPU's handle is its number."""

    class NVMLError(Exception):
        pass

    def __init__(
        self,
        *,
        driver: bool = True,
        free: list[int] | None = None,
        compute: list[list[Any]] | None = None,
        graphics: list[list[Any]] | None = None,
    ) -> None:
        self.inits = 0
        self.lost = False
        self._driver = driver
        self._free = free or []
        self._compute = compute or []
        self._graphics = graphics or []

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own name
        self.inits += 1
        if not self._driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVML's own name
        return len(self._free)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802 - NVML's own name
        return number

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:  # noqa: N802 - NVML's own name
        self._check()
        return SimpleNamespace(free=self._free[gpu], total=2 * self._free[gpu])

    def nvmlDeviceGetName(self, gpu: int) -> str:  # noqa: N802 - NVML's own name
        return f"GPU {gpu}"

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:  # noqa: N802 - NVML's own name
        self._check()
        return SimpleNamespace(gpu=40 + gpu)

    def nvmlDeviceGetTemperature(self, _gpu: int, _sensor: int) -> int:  # noqa: N802 - NVML's own name
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:  # noqa: N802 - NVML's own name
        self._check()
        return self._compute[gpu]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: int) -> list[Any]:  # noqa: N802 - NVML's own name
        self._check()
        return self._graphics[gpu]

    def _check(self) -> None:
        if self.lost:
            raise self.NVMLError("GPU is lost")
