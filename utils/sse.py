"""Server-sent events in bytes, as llama-server writes them. Pure.

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
    """Makes whole events of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The events that ``chunk`` completes, as they are; mostly the chunk itself."""
        if not self._rest and chunk.endswith(_END):
            return chunk
        whole, end, self._rest = (self._rest + chunk).rpartition(_END)
        return whole + end

    def take_rest(self) -> bytes:
        """What was left of an event that nothing completed; the buffer is empty."""
        rest, self._rest = self._rest, b""
        return rest
