"""Server-sent events in bytes, as llama-server writes them: one ``data:`` line each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA = b"data: "


@dataclass(frozen=True, slots=True)
class Event:
    """One event or comment with the blank line that ends it."""

    raw: bytes

    def json(self) -> dict[str, Any] | None:
        """The object in its ``data:`` line; None for comments, ``[DONE]`` and the like."""
        if not self.raw.startswith(_DATA):
            return None
        try:
            value = orjson.loads(self.raw[len(_DATA) :])
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


def events_of(stream: bytes) -> Iterator[Event]:
    """Each event in turn; what follows the last blank line is one too."""
    start = 0
    while start < len(stream):
        end = stream.find(b"\n\n", start)
        end = len(stream) if end < 0 else end + 2
        yield Event(stream[start:end])
        start = end
