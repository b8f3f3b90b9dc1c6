"""Keep the last lines of an engine, and find the line that says why it ended."""

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
    r"|exception|not found|no such|unknown (?:argument|option|model|type|arch)|denied|refused"
    r"|unsupported|in use|segmentation",
    re.IGNORECASE,
)
# These lines say only that the engine ended, and follow the line that says why.
_EPILOGUE = re.compile(r"exiting due to|^\s*$|^\s*usage:", re.IGNORECASE)
# All control characters except the tab; also C1 controls and line separators.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def last_meaningful(lines: Iterable[str], *, complaints_only: bool = False) -> str:
    """Return the last line with a problem, else the last line (not if ``complaints_only``)."""
    said = [line.strip() for line in lines if not _EPILOGUE.search(line)]
    last = said[-1] if said and not complaints_only else ""
    return next((line for line in reversed(said) if _TROUBLE.search(line)), last)


class LineSplitter:
    """Splits a byte stream into text lines; a line is cut after LONGEST_LINE bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that ``data`` completes; empty ``data`` returns the last, open line."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > LONGEST_LINE):
            whole.append(self._rest)
            self._rest = b""
        return [_clean(line) for line in whole]


def _clean(line: bytes) -> str:
    text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
    # An engine may print what a request held; it must not steer the terminal or forge a line.
    return text if text.isprintable() else _CONTROLS.sub(_escaped, text)[:LONGEST_LINE]


def _escaped(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"


class LogTail(deque[str]):
    """The last KEPT_LINES lines of one engine."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT_LINES)
