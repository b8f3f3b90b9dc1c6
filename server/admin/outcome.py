"""How a command ends: its exit status, and what a failure says."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED = 1


class CommandError(Exception):
    """The command failed. The text says why; ``status`` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def carried_out(work: Callable[[], int]) -> int:
    """Return the exit status of ``work``; print why it failed if it raises CommandError."""
    try:
        status = work()
        sys.stdout.flush()
    except CommandError as error:
        print(f"llm-gateway: {error}", file=sys.stderr)  # noqa: T201 - an answer for a terminal
        return error.status
    except BrokenPipeError:
        # The reader has closed the pipe, as in "logs | head". Python must not write to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    else:
        return status
