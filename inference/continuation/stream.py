"""A stream that ends because its context is full, continued in a larger one. Pure.

``ContinuedStream`` filters the stream between engines and a client. What may be the end of the
answer is held back until it is known whether the answer goes on. The next engine gets the text so
far as a begun assistant message, if its template can render one. Some engines repeat that text
before they continue it, in one piece or several: the repetition is removed. If an engine writes
nearly the same text, but not the same, its stream is dropped, and the answer ends as the engine
before ended it. So no text is sent twice, and none is lost.

The client sees one answer: one id, one beginning, one end, one ``usage``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from inference.continuation.codec import STRANGE
from inference.continuation.parts import Parts, added, could_continue
from utils.sse import Event, EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inference.continuation.codec import Codec, Json
    from inference.continuation.counts import Counts
    from inference.continuation.parts import Continuation
    from models.requests.reader import RequestFacts


class ContinuedStream(Parts):
    """One stream, written by one engine after another."""

    def __init__(self, codec: Codec, facts: RequestFacts) -> None:
        super().__init__(codec, facts)
        self._buffer = EventBuffer()
        # What the present engine has written, and what of its end is held back.
        self._said: list[bytes] = []
        self._held: list[bytes] | None = None
        self._end = b""
        # What the engine has repeated of the text so far; None: nothing need be repeated any more.
        self._repeated: str | None = None
        # The text before the present engine's own.
        self._before_own = ""
        self._resumed = False
        # Known once something could be held back: few answers come so far.
        self._possible: bool | None = None
        self._ids: dict[str, str] = {}
        self._later_ids: dict[str, str] = {}

    @property
    def joined(self) -> bool:
        """Whether the present engine has proved that it continues the text."""
        return self._repeated is None and not self.refused

    @property
    def size(self) -> int:
        """Bytes that the present engine has written."""
        return sum(map(len, self._said))

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that ``chunk`` completes and that need not be held back."""
        events = self._buffer.feed(chunk)
        if not events:
            return b""
        self._said.append(events)
        if self._resumed:
            if len(self._later_ids) < len(self._ids):
                self._later_ids = self._ids_in(events_of(events)) | self._later_ids
            events = self._mended(events if self._repeated is None else self._tried(events))
        return self._passed(events)

    def ended(self, context: int) -> Continuation | None:
        """End the present engine's stream; return its continuation if ``context`` cut it short."""
        self.refused = not self.joined
        if self.refused:
            return None
        rest = self._buffer.take_rest()
        self._end = b"".join(self._held or ()) + rest
        try:
            return self._following(context)
        except STRANGE:
            return None

    def _following(self, context: int) -> Continuation | None:
        self._own = None
        end = list(_objects(events_of(self._end)))
        full = any(map(self._codec.full, end))
        if full or self._resumed:
            self._own = self._counted()
        if not full or not self._filled(context):
            return None
        events = list(events_of(b"".join(self._said)))
        if not self._resumed:
            self._ids = self._ids_in(events)
        said = self._words(events)
        text = None if said is None else self._before_own + said
        if text is None or self._codec.late(end, text):
            return None
        return self._next(text)

    def resume(self) -> None:
        """Begin with the stream of the next engine, which is passed on once it has ``joined``."""
        self._resumed = True
        self._said, self._held, self._later_ids = [], None, {}
        self._before_own = self._text
        if self._codec.repeats:
            self._repeated = ""
        else:
            self._end = b""

    def end(self) -> bytes:
        """Return what was held back, for a stream that does not go on."""
        return self._end

    def _passed(self, events: bytes) -> bytes:
        if self._held is not None:
            self._held.append(events)
            return b""
        if self._codec.mark not in events:
            return events
        found = self._codec.end.search(events)
        if found is not None and self._may_go_on():
            start = events.rfind(b"\n\n", 0, found.start())
            start = 0 if start < 0 else start + 2
            self._held = [events[start:]]
            events = events[:start]
        return events

    def _may_go_on(self) -> bool:
        """Return whether what is asked for can be continued; if not, nothing is held back."""
        if self._possible is None:
            self._possible = could_continue(self._codec, self._facts)
        return self._possible

    def _tried(self, events: bytes) -> bytes:
        """Return what follows the repetition in these events; b"" while it goes on."""
        passed = b""
        for event in events_of(events):
            if self._repeated is None:
                passed += event.raw
            elif not self.refused:
                try:
                    passed += self._compared(event, self._repeated)
                except STRANGE:
                    self.refused = True
        return passed

    def _compared(self, event: Event, repeated: str) -> bytes:
        data = event.json()
        if data is None:
            return b""
        step = self._codec.step(data)
        if step is None:
            self.refused = True
            return b""
        said = repeated + step.words
        if self._may_repeat(said) and not (step.over or step.more):
            self._repeated = said
            return b""
        new = added(self._text, said)
        if new is None:
            self.refused = self.anew = step.over or not self._text.startswith(said)
            self._repeated = said
            return b""
        if not said and not self._codec.wordless:
            self.refused = self.anew = True
            return b""
        joint = self._codec.joint(data, new)
        self._repeated = None
        self._end = b""
        if said.startswith(self._text):
            self._before_own = ""
        return b"" if joint is None else self._event(joint).raw

    def _may_repeat(self, said: str) -> bool:
        """Return whether ``said`` may be the beginning of a repetition, which comes in pieces."""
        return len(said) < len(self._text) and self._text.startswith(said)

    def _mended(self, events: bytes) -> bytes:
        """Return a later engine's events as the first engine would have written them."""
        for name, first in self._ids.items():
            if later := self._later_ids.get(name):
                events = events.replace(later.encode(), first.encode())
        if self._codec.special.search(events) is not None:
            return b"".join(map(self._told, events_of(events)))
        return events

    def _told(self, event: Event) -> bytes:
        data = event.json()
        if data is None or self._before is None or not self._codec.special.search(event.raw):
            return event.raw
        try:
            later = self._codec.later(data, self._before, self._before_own)
            return b"" if later is None else self._event(later).raw
        except STRANGE:
            return event.raw

    def _event(self, data: Json) -> Event:
        return Event.of(data)

    def _counted(self) -> Counts | None:
        counts = None
        for chunk in self._said:
            if self._codec.special.search(chunk) is None:
                continue
            for data in _objects(events_of(chunk)):
                if (found := self._codec.counts(data)) is not None:
                    counts = found if counts is None else counts.completed(found)
        return counts

    def _ids_in(self, events: Iterable[Event]) -> dict[str, str]:
        found: dict[str, str] = {}
        for data in _objects(events):
            with suppress(*STRANGE):
                found = self._codec.ids(data) | found
        return found

    def _words(self, events: Iterable[Event]) -> str | None:
        """Return the text of a stream; None if it holds more than the text of one answer."""
        steps = [step for data in _objects(events) if (step := self._codec.step(data))]
        return None if any(step.more for step in steps) else "".join(s.words for s in steps)


def _objects(events: Iterable[Event]) -> Iterator[Json]:
    return (data for event in events if (data := event.json()) is not None)
