"""The machine and the versions, for ``/admin/api/system``. Every call may block for some ms."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.resources.probe import MachineProbe

_PACKAGES = ("llm-gateway", "aiohttp", "uvloop")


def system_view(probe: MachineProbe, folders: Iterable[Path]) -> dict[str, Any]:
    """Return processor, memory, GPUs, the disks of these folders, and versions; sizes in bytes."""
    memory, swap, own = psutil.virtual_memory(), psutil.swap_memory(), psutil.Process()
    return {
        "cpu": {
            "count": psutil.cpu_count() or 1,
            "physical": psutil.cpu_count(logical=False),
            "percent": psutil.cpu_percent(),
            "load": [round(each, 2) for each in psutil.getloadavg()],
        },
        "memory": {
            "total": memory.total,
            "available": memory.available,
            "percent": memory.percent,
            "swap_total": swap.total,
            "swap_used": swap.used,
        },
        "gpus": probe.gpus(),
        "disks": _disks(folders),
        "gateway": {
            "pid": own.pid,
            "memory": own.memory_info().rss,
            "threads": own.num_threads(),
            "started": round(own.create_time(), 3),
        },
        "boot": round(psutil.boot_time(), 3),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that matter."""
    # Imported when the page is read: it takes a while, and a megabyte.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def measured(probe: MachineProbe) -> dict[str, float]:
    """Return the numbers of the machine that a sample has; memory in bytes."""
    free, total = probe.free(), probe.total()
    used = {f"{name}_used": float(total[name] - free[name]) for name in total if name in free}
    return {
        "cpu_percent": psutil.cpu_percent(),
        "gateway_memory": float(psutil.Process().memory_info().rss),
        **used,
    }


def _disks(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Return one entry for each file system on which a folder is."""
    found: dict[int, dict[str, Any]] = {}
    for folder in folders:
        try:
            device = os.stat(folder).st_dev  # noqa: PTH116 - its text is what is shown
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        entry = {"path": str(folder), "total": usage.total, "free": usage.free}
        found.setdefault(device if sys.platform != "win32" else len(found), entry)
    return list(found.values())
