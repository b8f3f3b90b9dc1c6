"""What an engine says of its memory while it loads: log lines in, bytes by resource out. Pure.

llama-server names each buffer that it allocates, and before that what it expects to need.
Releases differ in what they print by default; of recent ones ``-lv 4`` shows it all.

1. The buffers of one device are added up. Buffers in front of a projection were a trial,
   made to find out what fits.
2. Without buffers the latest projection counts.
3. Main memory is ``ram``; the devices of a backend are ``gpu0``, ``gpu1`` …, by their numbers
   on the machine where the environment hides some. Memory of other machines counts nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RAM = "ram"
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


def resource_of(name: str, visible: Mapping[str, Sequence[int]] | None = None) -> str | None:
    """The resource behind a device or buffer of llama.cpp; None: it is another machine's."""
    found = _DEVICE.match(name)
    if found is None:
        return None if name.startswith("RPC") else RAM
    number = int(found[2] or 0)
    shown = (visible or {}).get(found[1], ())
    return f"gpu{shown[number] if number < len(shown) else number}"


def visible_devices(env: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Which devices each backend sees, in its order, where the environment says so by number."""
    lists = {backend: env.get(name, "").split(",") for backend, name in _VISIBLE.items()}
    return {
        backend: tuple(map(int, numbers))
        for backend, numbers in lists.items()
        if all(number.strip().isdecimal() for number in numbers)
    }


class Projection:
    """The memory of one engine as its log tells it."""

    def __init__(self, visible: Mapping[str, Sequence[int]] | None = None) -> None:
        self._visible = visible or {}
        self._buffers: dict[str, float] = {}
        self._expected: dict[str, float] = {}

    def read(self, line: str) -> None:
        """Another line of the log; most say nothing of memory."""
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
        """The amounts after all of ``lines``."""
        for line in lines:
            self.read(line)
        return self.amounts()

    def amounts(self) -> dict[str, int]:
        """Bytes by resource, as far as the log has told."""
        told = self._buffers or self._expected
        return {name: round(mib * _MIB) for name, mib in told.items() if name and mib > 0}

    def _add(self, sizes: dict[str, float], name: str, mib: float) -> None:
        resource = resource_of(name, self._visible)
        if resource is not None:
            sizes[resource] = sizes.get(resource, 0.0) + mib
