"""Server-sent events in bytes, as engines write them. Pure.

Each has one ``data:`` line, and before it an ``event:`` line with its name in some APIs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = b"event: "
_DATA = b"data: "
_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event or comment with the blank line that ends it."""

    raw: bytes

    @classmethod
    def of(cls, data: dict[str, Any], *, named: bool = False) -> Event:
        """The event that says ``data``; its name, if it has one, is the data's ``type``."""
        name = b"%b%b\n" % (_NAME, str(data["type"]).encode()) if named else b""
        return cls(name + _DATA + orjson.dumps(data) + _END)

    def json(self) -> dict[str, Any] | None:
        """The object in its ``data:`` line; None for comments, ``[DONE]`` and the like."""
        start = self.raw.find(b"\n") + 1 if self.raw.startswith(_NAME) else 0
        if not self.raw.startswith(_DATA, start):
            return None
        try:
            value = orjson.loads(self.raw[start + len(_DATA) :])
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


def events_of(stream: bytes) -> Iterator[Event]:
    """Each event in turn; what follows the last blank line is one too."""
    start = 0
    while start < len(stream):
        end = stream.find(_END, start)
        end = len(stream) if end < 0 else end + len(_END)
        yield Event(stream[start:end])
        start = end


class EventBuffer:
    """Makes whole events of a stream that comes in pieces, in time linear in its length.

    Lines may end in LF, CRLF or CR (WHATWG HTML, 9.2.6); what comes out ends in LF.
    """

    def __init__(self) -> None:
        # Of the event that is not complete yet.
        self._pieces: list[bytes] = []
        # The last byte was a CR, of which an LF may be the second half.
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """The events that ``chunk`` completes; without a CR, unchanged and mostly the chunk."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        pieces = self._pieces
        if not pieces and chunk.endswith(_END):
            return chunk
        if pieces and chunk.startswith(b"\n") and pieces[-1].endswith(b"\n"):
            # A blank line cut in two.
            end = max(1, chunk.rfind(_END) + len(_END))
        else:
            end = chunk.rfind(_END) + len(_END)
            if end < len(_END):
                if chunk:
                    pieces.append(chunk)
                return b""
        whole = b"".join((*pieces, chunk[:end]))
        self._pieces = [chunk[end:]] if end < len(chunk) else []
        return whole

    def take_rest(self) -> bytes:
        """What was left of an event that nothing completed; the buffer is empty."""
        rest, self._pieces = b"".join(self._pieces), []
        return rest

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
