"""An answer that ends because its context is full, continued in a larger one. Pure.

``GrowingStream`` and ``GrowingAnswer`` sit between engines and a client: what may be the end of
the answer is held back until it is known whether the answer goes on. It goes on as the
assistant's own words, once the engine's template has shown that it takes them so. Some engines
repeat these words before they go on, in one piece; then that piece is taken away. One that
says nearly the same, but not the same, is not listened to, and the answer ends as the engine
before ended it. So text is never sent twice, and none is lost.

To the client it is one answer: one id, one role, one end, one ``usage``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from models.request import Kind
from server.continuation import continuation
from server.counts import counts_of, recount
from server.sse import Event, EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.request import RequestFacts
    from server.continuation import Continuation
    from server.counts import Counts

Json = dict[str, Any]

_FULL = re.compile(rb'"finish_reason"\s*:\s*"length"')
_NUMBERS = (b'"usage"', b'"timings"')
# A full context may lack the tokens that would not have fitted together.
_SLACK = 4


class _Growing:
    """What both forms know of the answer so far.

    ``cached`` is what the engine that wrote last had of its prompt already, if it said so; of an
    answer that never grew it is None.
    """

    def __init__(self, facts: RequestFacts) -> None:
        self.cached: int | None = None
        self._facts = facts
        self._chat = facts.kind is Kind.CHAT
        self._text = ""
        # Of all engines before the one that writes now, and of that one.
        self._before: Counts | None = None
        self._own: Counts | None = None

    def _next(self, context: int, text: str) -> Continuation | None:
        own = self._own
        if own is None or own.total + _SLACK < context:
            return None
        whole = own if self._before is None else self._before.then(own)
        following = continuation(self._facts, text, whole.written, own)
        if following is not None:
            self._text, self._before = text, whole
        return following

    def _recount(self, answer: Json) -> None:
        """An engine's answer, or the event that counts it, is of the whole answer."""
        counts = counts_of(answer)
        if counts is not None and self._before is not None:
            self._own = counts
            self.cached = counts.cached
            recount(answer, self._before)


class GrowingStream(_Growing):
    """A stream's way through one or more engines.

    ``refused`` says that an engine did not continue what was said before; nothing of its words
    was passed on.
    """

    def __init__(self, facts: RequestFacts) -> None:
        super().__init__(facts)
        self.refused = False
        self._buffer = EventBuffer()
        self._said: list[bytes] = []
        self._held: list[bytes] | None = None
        self._end = b""
        # How much of the words so far an engine has repeated; None: there is nothing to repeat.
        self._repeated: str | None = None
        self._resumed = False
        self._id = b""
        self._later_id = b""

    @property
    def joined(self) -> bool:
        """Whether what the engine says is the client's to have."""
        return self._repeated is None and not self.refused

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream's next bytes the client may have already; whole events."""
        events = self._buffer.feed(chunk)
        if self._resumed:
            events = self._mended(events if self._repeated is None else self._tried(events))
        return self._passed(events)

    def ended(self, context: int) -> Continuation | None:
        """An engine's stream is over; what continues it if its ``context`` cut it short."""
        self.refused = not self.joined
        if self.refused:
            return None
        self._end = b"".join(self._held or ()) + self._buffer.take_rest()
        if self._held is None:
            return None
        before, held = list(events_of(b"".join(self._said))), list(events_of(self._end))
        if not self._resumed:
            self._own = next((c for e in held if (c := counts_of(e.json() or {}))), None)
            self._id = _id_of(before)
        said = _words_of(before)
        # Words that come with the end were not passed on.
        if said is None or _words_of(held) != "":
            return None
        return self._next(context, self._text + said)

    def resume(self) -> None:
        """An engine begins to continue the stream: its words are passed on when it has joined."""
        self._resumed = True
        self._said, self._held, self._later_id = [], None, b""
        if self._chat:
            self._repeated = ""
        else:
            self._end = b""

    def end(self) -> bytes:
        """What was held back, for a stream that goes no further."""
        return self._end

    def _passed(self, events: bytes) -> bytes:
        if self._held is not None:
            self._held.append(events)
            return b""
        found = _FULL.search(events)
        if found is not None:
            start = events.rfind(b"\n\n", 0, found.start())
            start = 0 if start < 0 else start + 2
            self._held = [events[start:]]
            events = events[:start]
        if events:
            self._said.append(events)
        return events

    def _tried(self, events: bytes) -> bytes:
        """The events that follow the repetition, if it ends in them."""
        passed = b""
        for event in events_of(events):
            if self._repeated is None:
                passed += event.raw
            elif not self.refused:
                passed += self._compared(event, self._repeated)
        return passed

    def _compared(self, event: Event, repeated: str) -> bytes:
        data = event.json()
        if data is None:
            return b""
        choice = _choice(data)
        if choice is None:
            self.refused = True
            return b""
        delta = choice.get("delta") or {}
        said = repeated + (delta.get("content") or "")
        over = choice.get("finish_reason") is not None
        added = _added(self._text, said)
        if added is None:
            # It may repeat in pieces.
            self.refused = over or not self._text.startswith(said)
            self._repeated = said
            return b""
        if not said and not over and not _is_more(delta):
            return b""
        self._repeated = None
        self._end = b""
        # The role was told already.
        choice["delta"] = {name: delta[name] for name in delta.keys() - {"role", "content"}}
        if added:
            choice["delta"]["content"] = added
        return Event.of(data).raw if choice["delta"] or over else b""

    def _mended(self, events: bytes) -> bytes:
        """A later engine's events, as if the first had written them."""
        if not self._later_id:
            self._later_id = _id_of(events_of(events))
        if self._later_id and self._id:
            events = events.replace(self._later_id, self._id)
        if any(name in events for name in _NUMBERS):
            return b"".join(map(self._recounted, events_of(events)))
        return events

    def _recounted(self, event: Event) -> bytes:
        data = event.json()
        if data is None or counts_of(data) is None:
            return event.raw
        self._recount(data)
        return Event.of(data).raw


class GrowingAnswer(_Growing):
    """The same for an answer in one piece; ``body`` is the whole answer so far."""

    def __init__(self, facts: RequestFacts, body: bytes) -> None:
        super().__init__(facts)
        self.body = body
        self._answer = _object(body)
        self._own = counts_of(self._answer)

    def ended(self, context: int) -> Continuation | None:
        """What continues the answer if the engine's ``context`` cut it short."""
        choice = _only_choice(self._answer)
        text = None if choice is None else _words(choice, "message")
        if choice is None or text is None or choice.get("finish_reason") != "length":
            return None
        return self._next(context, text)

    def joins(self, body: bytes) -> bool:
        """Whether ``body``, another engine's answer, continues this one; it is part of it then."""
        answer = _object(body)
        choice = _only_choice(answer)
        if choice is None:
            return False
        place = choice.setdefault("message", {}) if self._chat else choice
        name = "content" if self._chat else "text"
        said = place.get(name) or ""
        added = _added(self._text, said) if self._chat else said
        if added is None:
            return False
        place[name] = self._text + added
        if "id" in self._answer:
            answer["id"] = self._answer["id"]
        self._recount(answer)
        self._answer, self.body = answer, orjson.dumps(answer)
        return True


def _added(text: str, said: str) -> str | None:
    """What ``said`` adds to ``text``, which it may repeat; None where it is almost a repetition.

    No new token is half as long as a text that is continued.
    """
    if said.startswith(text):
        return said[len(text) :]
    most = min(len(said), len(text))
    shared = next((at for at in range(most) if said[at] != text[at]), most)
    return None if 2 * shared >= len(text) else said


def _object(body: bytes) -> Json:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _words_of(events: Iterable[Event]) -> str | None:
    """The words of a stream; None where there is more than the words of one answer."""
    said = ""
    for event in events:
        choice = _choice(event.json() or {})
        if choice is not None:
            words = _words(choice, "delta")
            if words is None or choice.get("index"):
                return None
            said += words
    return said


def _words(choice: Json, place: str) -> str | None:
    """The words of a choice; None where it holds reasoning or tool calls."""
    message = choice.get(place) or {}
    return None if _is_more(message) else choice.get("text") or message.get("content") or ""


def _is_more(message: Json) -> bool:
    return bool(message.get("tool_calls") or message.get("reasoning_content"))


def _only_choice(answer: Json) -> Json | None:
    return _choice(answer) if len(answer.get("choices") or ()) == 1 else None


def _choice(data: Json) -> Json | None:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0]


def _id_of(events: Iterable[Event]) -> bytes:
    for event in events:
        found = (event.json() or {}).get("id")
        if isinstance(found, str):
            return found.encode()
    return b""
