"""The admin token that the gateway makes for itself, in a file that only its user can read.

A program that can read the file may use the admin paths: ``main.py status`` can, a proxy cannot.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from utils.logger import get_logger

if TYPE_CHECKING:
    from pathlib import Path

NAME = "admin-token"
_log = get_logger("admin")
_OTHERS = 0o077


def own_token(folder: Path) -> str:
    """Return the token in ``folder``; make a new one if it is missing or if others could read it.

    If the folder cannot be written, return a token that is stored nowhere, and log a warning.
    """
    try:
        return read_token(folder) or _made(folder)
    except OSError as error:
        _log.warning(
            "%s: %s; the admin paths need server.admin_token", folder / NAME, error.strerror
        )
        return _new()


def read_token(folder: Path) -> str | None:
    """Return the token in ``folder``; None without a file, or if others could read the file.

    Raises OSError if the file cannot be read.
    """
    try:
        file = (folder / NAME).open(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    with file:
        if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & _OTHERS:
            return None
        return file.read().strip() or None


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).unlink(missing_ok=True)
    token = _new()
    part = folder / f"{NAME}.{os.getpid()}"
    part.unlink(missing_ok=True)
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    try:
        (folder / NAME).hardlink_to(part)
    except FileExistsError:
        # Another gateway has just made one.
        token = read_token(folder) or token
    finally:
        part.unlink(missing_ok=True)
    return token


def _new() -> str:
    return secrets.token_hex(16)
