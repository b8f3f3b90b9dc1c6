"""Whether an engine ended for lack of memory, and of which. Pure: last words in, finding out.

1. A line that tells of a failed allocation decides, in the wording of llama.cpp and of what
   lies below it: CUDA, HIP, Vulkan, Metal, the C++ library, the kernel. The first of several is
   the cause, the others are its consequences.
2. An engine that was killed by SIGKILL while it loaded, itself or beneath a wrapper, fell to
   the kernel, which ends whoever takes the last of the main memory.
3. What is only a warning is none: pinned and locked memory can be done without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.llamacpp.memory_log import RAM, resource_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
_KILLED = (-9, 128 + 9)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Which memory there was too little of, and the words that say so."""

    resource: str
    said: str


def shortage(
    lines: Iterable[str], status: int, visible: Mapping[str, Sequence[int]] | None = None
) -> Shortage | None:
    """What an engine lacked that ended with ``status`` while it loaded; None: something else.

    ``status`` is negative for a signal; an engine that we killed ourselves is not asked about.
    """
    for line in lines:
        if _FAILED.search(line) and not _HARMLESS.search(line):
            return Shortage(_resource(line, visible), line.strip())
    if status in _KILLED:
        return Shortage(RAM, "it was killed, as the system does when main memory runs out")
    return None


def _resource(line: str, visible: Mapping[str, Sequence[int]] | None) -> str:
    if (numbered := _ON_DEVICE.search(line)) is not None:
        return resource_of(f"CUDA{numbered[1]}", visible) or RAM
    if "_Host buffer" in line:
        return RAM
    if (named := _DEVICE_NAME.search(line)) is not None:
        return resource_of(named[1], visible) or RAM
    return "gpu0" if _ON_GPU.search(line) else RAM
