"""Find out whether a llama-server fits a model to the memory itself. Blocks."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from engine.llamacpp.client import library_environment
from engine.llamacpp.shipped import bundled_server

_PATIENCE = 10.0


def has_fit(binary: str) -> bool:
    """Return whether the ``--help`` of the binary names ``--fit``; False if it cannot be run.

    Each binary is run once, and again when it has changed.
    """
    if binary == bundled_server():
        return True
    try:
        state = Path(binary).stat()
    except OSError:
        return False
    return _asked(binary, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _asked(binary: str, _size: int, _changed: int) -> bool:
    try:
        told = subprocess.run(  # noqa: S603 - the user's own engine
            [binary, "--help"],
            capture_output=True,
            timeout=_PATIENCE,
            env=library_environment(os.environ, binary),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    words = (told.stdout + told.stderr).decode("utf-8", "replace").replace(",", " ").split()
    return "--fit" in words
