"""Server-sent events in bytes, as engines write them. Pure.

Each event has one ``data:`` line. In some APIs a line with its name, ``event:``, comes before it.
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
        """Return the event with ``data``. If ``named``, its name is ``data["type"]``."""
        name = b"%b%b\n" % (_NAME, str(data["type"]).encode()) if named else b""
        return cls(name + _DATA + orjson.dumps(data) + _END)

    def json(self) -> dict[str, Any] | None:
        """Return the object in the ``data:`` line; None for comments, ``[DONE]`` and the like."""
        start = self.raw.find(b"\n") + 1 if self.raw.startswith(_NAME) else 0
        if not self.raw.startswith(_DATA, start):
            return None
        try:
            value = orjson.loads(self.raw[start + len(_DATA) :])
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


def events_of(stream: bytes) -> Iterator[Event]:
    """Yield each event in turn, and what follows the last blank line as one more."""
    start = 0
    while start < len(stream):
        end = stream.find(_END, start)
        end = len(stream) if end < 0 else end + len(_END)
        yield Event(stream[start:end])
        start = end


class EventBuffer:
    """Joins the pieces of a stream into whole events, in time linear in its length.

    Input lines may end in LF, CRLF or CR (WHATWG HTML, 9.2.6); output lines end in LF.
    """

    def __init__(self) -> None:
        # The pieces of the incomplete event.
        self._pieces: list[bytes] = []
        # The last byte was a CR; an LF may follow that belongs to it.
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes of all events that ``chunk`` completes; only line ends may change."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        pieces = self._pieces
        if not pieces and chunk.endswith(_END):
            return chunk
        if pieces and chunk.startswith(b"\n") and pieces[-1].endswith(b"\n"):
            # A blank line that was cut in two.
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
        """Return the bytes of the incomplete event, and empty the buffer."""
        rest, self._pieces = b"".join(self._pieces), []
        return rest

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
