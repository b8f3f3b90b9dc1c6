"""Install the clients of the zoo, once for each version of their locks."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from node_packages import node_modules

HERE = Path(__file__).resolve().parent
LOCKS = HERE / "locks"
JAVASCRIPT = HERE / "javascript"
# What no check needs of a client: Open WebUI's pages are most of it.
UNUSED = {"open_webui": [f"open_webui/frontend/{name}" for name in ("_app", "pyodide", "wasm")]}


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "llm-gateway"


def _version(*files: Path) -> str:
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


def _installed(name: str, *locks: Path) -> tuple[Path, bool]:
    """Return where this version belongs, and whether it is there."""
    folder = _cache() / f"zoo-{name}-{_version(*locks)}"
    return folder, (folder / "ready").exists()


def python_of(environment: str) -> Path:
    """Install the environment of this lock unless it is there; return its Python."""
    lock = LOCKS / f"{environment}.txt"
    folder, ready = _installed(environment, lock)
    if not ready:
        print(f"zoo: installing {environment}", file=sys.stderr, flush=True)
        uv = [str(Path(sys.executable).with_name("uv"))]
        # An environment cannot be moved, so it is made in its place, and marked when it is whole.
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run(*uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        python = folder / "bin" / "python"
        _run(*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock))
        for inside in UNUSED.get(environment, ()):
            for found in folder.glob(f"lib/*/site-packages/{inside}"):
                shutil.rmtree(found)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def packages_of_node() -> Path:
    """Install the packages of the lock unless they are there; return their ``node_modules``."""
    return node_modules("zoo-node", JAVASCRIPT)


def install() -> None:
    """Install all environments; those of this version that are there stay."""
    for lock in sorted(LOCKS.glob("*.txt")):
        python_of(lock.stem)
    packages_of_node()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
