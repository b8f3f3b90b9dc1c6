"""The head of an HTTP message that looks like one before. Pure.

On a kept connection one head follows another, and mostly only the number in ``Content-Length`` is
new. A parser has read the first of them; for the others it is enough to compare the bytes.
"""

from __future__ import annotations

import re
from typing import Self

_END_OF_HEAD = b"\r\n\r\n"
_MOST_DIGITS = 7
# A line of its own, as parsers have it: a name follows the end of the line before.
_LENGTH = re.compile(rb"\r\nContent-Length: (\d{1,7})\r\n", re.IGNORECASE)


class KnownHead:
    """The bytes of a head before and after the number in its ``Content-Length``."""

    __slots__ = ("_after", "_before", "_start")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self._start = len(before)

    @classmethod
    def of(cls, message: bytes) -> Self | None:
        """Return the head of a message that a parser has found to be whole and valid.

        None where the head does not show that the message is whole.
        """
        end = message.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        found = _LENGTH.search(message, 0, end)
        if found is None or int(found[1]) != len(message) - end:
            return None
        return cls(message[: found.start(1)], message[found.end(1) : end])

    def body_of(self, message: bytes) -> bytes | None:
        """Return the body of a whole message with this head, whatever its length; else None."""
        start, after = self._start, self._after
        if not message.startswith(self._before):
            return None
        end = message.find(b"\r", start, start + _MOST_DIGITS + 1)
        if end < 0 or not message.startswith(after, end):
            return None
        digits, body = message[start:end], message[end + len(after) :]
        return body if digits.isdigit() and int(digits) == len(body) else None
