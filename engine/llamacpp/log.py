"""Read the log of llama-server: memory, failed allocations and load progress. Pure.

Memory. llama-server logs each buffer that it allocates, and before that the size that it expects.
Releases differ in what they log by default; recent ones log all of it with ``-lv 4``.

1. The buffers of one device are added up. Buffers before a projection belong to a trial that finds
   out what fits.
2. Without buffers the last projection counts.
3. Main memory is ``ram``; the devices of a backend are ``gpu0``, ``gpu1`` …, by their numbers on
   the machine if the environment hides some. Memory of other machines does not count.

Failed allocations. The first line about one is the cause, in the words of llama.cpp or of the
layers below it: CUDA, HIP, Vulkan, Metal, the C++ library, the kernel. A warning does not count:
pinned and locked memory are optional.

Progress. If ``LLAMA_SERVER_ROUTER_PORT`` is in its environment, llama-server reports to its router
mode in lines on its standard output, and ends as soon as its standard input does. This is an
internal protocol of llama.cpp: the gateway reads it if a variant's ``env`` enables it, and does not
depend on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from engine.base import LogReader, Shortage
from engine.resources.rules import RAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROGRESS_VARIABLE = "LLAMA_SERVER_ROUTER_PORT"
_PREFIX = "cmd_child_to_router:"
_STATE = _PREFIX + "state:"

_MIB = 1024 * 1024
_VISIBLE = {
    "CUDA": "CUDA_VISIBLE_DEVICES",
    "ROCm": "HIP_VISIBLE_DEVICES",
    "Vulkan": "GGML_VK_VISIBLE_DEVICES",
}
_BUFFER = re.compile(r": +(\S+) +(?:[\w ]+ )?buffer size += +(\d+\.\d+) MiB")
_TABLE = re.compile(r"\| memory breakdown \[MiB\]")
_GPU_ROW = re.compile(r"\|\s+- (\w+).*\|\s*\d+ = \d+ \+ \((\d+) = ")
_HOST_ROW = re.compile(r"\|\s+- Host\s+\|\s+(\d+) = ")
_EACH = re.compile(r" - (\w+).*: +\d+ total, +(\d+) used")
_ALL = re.compile(r"projected to use (\d+) MiB of (host|device) memory")
_DEVICE = re.compile(r"(CUDA|ROCm|MUSA|Vulkan|MTL|Metal|SYCL|CANN|OpenCL)(\d*)(?!\w*_Host)")

_FAILED = re.compile(
    r"out of (?:\w+ )?memory|cudaMalloc failed|hipMalloc failed"
    r"|insufficient memory|cannot allocate memory|std::bad_alloc|OutOf(?:Device|Host)Memory"
    r"|failed to allocate|unable to allocate|memory allocation of size \d+ failed"
    r"|Insufficient Memory",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"pinned memory|mlock|host buffer for async|retrying|skipping|^\W*warning", re.IGNORECASE
)
_ON_DEVICE = re.compile(r"on device (\d+)")
_DEVICE_NAME = re.compile(r"\b((?:CUDA|ROCm|MUSA|Vulkan|MTL|Metal|SYCL|CANN)\d*)\b")
_ON_GPU = re.compile(
    r"cuda|hip\w*malloc|rocm|OutOfDeviceMemory|vulkan|metal|kIOGPU|device memory", re.IGNORECASE
)


class LlamaCppLog(LogReader):
    """Read the log of a llama-server with the environment ``env``."""

    advice = "Lower -c, -ngl or -b in this variant's args"

    def __init__(self, env: Mapping[str, str]) -> None:
        self._visible = visible_devices(env)
        self._projection = Projection(self._visible)
        self._lacked: Shortage | None = None

    def is_protocol(self, line: str) -> bool:
        """Return whether the line is for llama.cpp's router, and not for the log."""
        return line.startswith(_PREFIX)

    def percent(self, line: str) -> float | None:
        """Return how much is loaded, from 0 to 100; None if the line does not say.

        A model may load in stages, such as the text part and the part for images.
        """
        return percent_in(line)

    def read(self, line: str) -> None:
        """Read a line that the engine printed while it loaded."""
        self._projection.read(line)
        # A long trace may follow the cause, so the first one is kept.
        self._lacked = self._lacked or shortage(line, self._visible)

    def amounts(self) -> dict[str, int]:
        """Return the allocated buffers, else the expected sizes, in bytes by resource."""
        return self._projection.amounts()

    def shortage(self, status: int) -> Shortage | None:
        """Return the first failed allocation, else what ``status`` shows."""
        return self._lacked or super().shortage(status)


class Projection:
    """The memory of one engine, by its log."""

    def __init__(self, visible: Mapping[str, Sequence[int]] | None = None) -> None:
        self._visible = visible or {}
        self._buffers: dict[str, float] = {}
        self._expected: dict[str, float] = {}

    def read(self, line: str) -> None:
        """Read a line of the log; most lines have nothing about memory."""
        if "MiB" not in line and " total, " not in line and "| " not in line:
            return
        if (found := _BUFFER.search(line)) is not None:
            self._add(self._buffers, found[1], float(found[2]))
        elif _TABLE.search(line) is not None:
            self._buffers, self._expected = {}, {}
        elif (found := _GPU_ROW.search(line) or _EACH.search(line)) is not None:
            self._expected[resource_of(found[1], self._visible) or ""] = float(found[2])
        elif (found := _HOST_ROW.search(line)) is not None:
            self._expected[RAM] = float(found[1])
        elif (found := _ALL.search(line)) is not None:
            self._buffers = {}
            name = RAM if found[2] == "host" else str(resource_of("CUDA0", self._visible))
            if not self._expected:
                self._expected[name] = float(found[1])

    def read_all(self, lines: Iterable[str]) -> dict[str, int]:
        """Read ``lines``, and return the amounts after them."""
        for line in lines:
            self.read(line)
        return self.amounts()

    def amounts(self) -> dict[str, int]:
        """Return bytes by resource, by the log so far."""
        told = self._buffers or self._expected
        return {name: round(mib * _MIB) for name, mib in told.items() if name and mib > 0}

    def _add(self, sizes: dict[str, float], name: str, mib: float) -> None:
        resource = resource_of(name, self._visible)
        if resource is not None:
            sizes[resource] = sizes.get(resource, 0.0) + mib


def resource_of(name: str, visible: Mapping[str, Sequence[int]] | None = None) -> str | None:
    """Return the resource of a device or buffer of llama.cpp; None if it is another machine's."""
    found = _DEVICE.match(name)
    if found is None:
        return None if name.startswith("RPC") else RAM
    number = int(found[2] or 0)
    shown = (visible or {}).get(found[1], ())
    return f"gpu{shown[number] if number < len(shown) else number}"


def visible_devices(env: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return the devices that each backend sees, if the environment lists them by number."""
    lists = {backend: env.get(name, "").split(",") for backend, name in _VISIBLE.items()}
    return {
        backend: tuple(map(int, numbers))
        for backend, numbers in lists.items()
        if all(number.strip().isdecimal() for number in numbers)
    }


def shortage(line: str, visible: Mapping[str, Sequence[int]] | None = None) -> Shortage | None:
    """Return the memory that was too small by this line; None if it is about no failure."""
    if not _FAILED.search(line) or _HARMLESS.search(line):
        return None
    return Shortage(_lacked(line, visible), line.strip())


def percent_in(line: str) -> float | None:
    """Return how much is loaded, from 0 to 100; None if the line does not say."""
    try:
        told: Any = orjson.loads(line.removeprefix(_STATE))
        if told["state"] != "loading":
            return None
        payload = told["payload"]
        stages = payload["stages"]
        done = stages.index(payload["current"]) + payload["value"]
        share = float(done) / len(stages)
        return round(100.0 * min(1.0, max(0.0, share)), 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _lacked(line: str, visible: Mapping[str, Sequence[int]] | None) -> str:
    if (numbered := _ON_DEVICE.search(line)) is not None:
        return resource_of(f"CUDA{numbered[1]}", visible) or RAM
    if "_Host buffer" in line:
        return RAM
    if (named := _DEVICE_NAME.search(line)) is not None:
        return resource_of(named[1], visible) or RAM
    return "gpu0" if _ON_GPU.search(line) else RAM
