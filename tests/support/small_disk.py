"""A disk of a megabyte that can be filled and freed."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 1024 * 1024


@dataclass
class SmallDisk:
    """A file system of its own; where that needs rights that the tests lack, a limit of a process.

    With such a limit no file of the process can grow, which is what a quota is like.
    """

    folder: Path
    mounted: bool

    def fill(self, pid: int) -> None:
        """Leave no room for a process."""
        if not self.mounted:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))

    def free(self, pid: int) -> None:
        """Give the room back."""
        if self.mounted:
            self._ballast.unlink()
        else:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Inside the block there is a small disk at ``folder``."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    disk = SmallDisk(folder, done.returncode == 0)
    try:
        yield disk
    finally:
        if disk.mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True, stdin=subprocess.DEVNULL)
