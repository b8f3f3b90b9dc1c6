"""A transcript as a stream of events, each sent when the engine has heard its piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from engine.whisper.transcript import EVENTS, delta, done, segment_of, transcript_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.upstream import Answer

_OK = 200


class TranscriptEvents:
    """An ``Answer`` made of lines: a segment each, and the whole transcript in the last one."""

    def __init__(self, lines: Answer) -> None:
        self.status = _OK
        self.headers: Mapping[str, str] = {"Content-Type": EVENTS}
        self._lines = lines
        self._rest = b""
        self._first = True
        self._whole = False
        self.fail = lines.fail
        self.close = lines.close

    @property
    def ended(self) -> bool:
        """Whether all of it has come."""
        return self._lines.ended

    async def read(self) -> bytes:
        """Return the next events, b"" at the end; ConnectionError if that comes too early."""
        while piece := await self._lines.read():
            *lines, self._rest = (self._rest + piece).split(b"\n")
            if made := b"".join(map(self._event, lines)):
                return made
        if not self._whole:
            raise ConnectionError("the transcript has no end")
        return b""

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give the events to ``take`` as they come."""
        while made := await self.read():
            if not take(made):
                return False
        return True

    def _event(self, line: bytes) -> bytes:
        try:
            said = orjson.loads(line)
            if "segments" in said:
                self._whole = True
                return done(transcript_of(line))
            made = delta(segment_of(said), first=self._first)
        except (ValueError, TypeError) as error:
            raise ConnectionError("the transcript has a line that is no JSON") from error
        self._first = self._first and not made
        return made
