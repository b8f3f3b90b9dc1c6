"""Find an executable that the configuration names, or say why it cannot be run."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ExecutableError(Exception):
    """The file cannot be executed. The message follows a text that names the key."""


def resolve_path(text: str, base: Path) -> Path:
    """Return the path ``text`` with ``~`` expanded, relative to ``base``."""
    return base / os.path.expanduser(text)  # noqa: PTH111 - Path raises where this keeps "~"


def resolve_executable(text: str, base: Path) -> str:
    """Return the full path of ``text``: a bare name from PATH, any other relative to ``base``.

    Raises ExecutableError.
    """
    if os.path.basename(text) == text and not text.startswith("~"):  # noqa: PTH119 - no Path yet
        found = shutil.which(text)
        if found is None:
            beside = f'; write "./{text}" for the one beside this file' * (base / text).is_file()
            raise ExecutableError(f'"{text}" is not on PATH{beside}')
        return os.path.abspath(found)  # noqa: PTH100 - a symbolic link stays one
    path = resolve_path(text, base)
    if not path.exists():
        raise ExecutableError(f'"{path}" does not exist')
    if path.is_dir():
        raise ExecutableError(f'"{path}" is a folder, not an executable file')
    if not os.access(path, os.X_OK):
        raise ExecutableError(f'"{path}" is not executable')
    return str(path)
