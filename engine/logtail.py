"""The last lines an engine wrote, and the one that tells why it ended."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_LINES = 50
LONGEST_LINE = 4096

_TROUBLE = re.compile(
    r"error|fail|unable|cannot|can't|could not|couldn't|invalid|out of memory|abort|terminate"
    r"|exception|not found|no such|unknown|denied|refused|unsupported|in use|segmentation",
    re.IGNORECASE,
)
# These say that it ended, which is known already, and follow the line that says why.
_EPILOGUE = re.compile(r"exiting due to|^\s*$|^\s*usage:", re.IGNORECASE)


def last_meaningful(lines: Iterable[str]) -> str:
    """The last line that names a trouble; else the last that says anything; else ''."""
    said = [line.strip() for line in lines if not _EPILOGUE.search(line)]
    return next(
        (line for line in reversed(said) if _TROUBLE.search(line)), said[-1] if said else ""
    )


class LineSplitter:
    """Cuts a byte stream into text lines; a line without end is cut at LONGEST_LINE bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes; an empty ``data`` flushes the last, unended one."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > LONGEST_LINE):
            whole.append(self._rest)
            self._rest = b""
        return [line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r") for line in whole]


class LogTail(deque[str]):
    """The last KEPT_LINES lines of one engine."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT_LINES)
