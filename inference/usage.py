"""What an engine says of an answer's tokens: one rule, for bytes and for decoded JSON. Pure.

Every form of an answer ends with counts: ``usage`` in OpenAI's shapes or Anthropic's, and
llama-server's ``timings``, which a stream carries in its last chunk even when no usage was asked
for. They are read from the last bytes, without parsing the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

# Enough for the last chunk of a stream or the end of a JSON answer.
TAIL = 8192
# So many pieces, each with fewer bytes than this, are looked at together.
_TOGETHER, _SMALL = 16, 1024
_EVENT = b"data: "


def _written(*names: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, b'"%b"' % name.encode()) for name in names)


# The fields that ``told`` asks for, and how they are written. All of a kind have one end, so most
# answers need not be searched for those of another kind.
_OPENAI = _written("prompt_tokens", "completion_tokens", "cached_tokens")
_OTHERS = _written("input_tokens", "output_tokens", "cache_read_input_tokens")
_TIMINGS = _written("prompt_n", "cache_n", "predicted_n", "prompt_ms", "predicted_ms")
_OF_OTHERS, _OF_TIMINGS = b'put_tokens"', b'_n"'
# Eighteen digits at most: Python refuses to read numbers of thousands of them.
_NUMBER = re.compile(rb"\s*:\s*(\d{1,18}(?:\.\d{1,18})?(?:[eE][-+]?\d{1,2})?)")


# The types of counts and of times.
_COUNTS = frozenset({int, type(None)})
_TIMES = _COUNTS | {float}


class Told(NamedTuple):
    """Numbers that an engine told of an answer; None for those that it did not.

    ``fresh`` are the tokens of the prompt that it had to read, ``reading`` and ``writing`` the
    milliseconds that prompt and answer took.
    """

    prompt: int | None
    completion: int | None
    cached: int | None
    fresh: int | None
    reading: float | None
    writing: float | None


def told(find: Callable[[str], Any]) -> Told:
    """THE rule: the counts of an answer whose field of a name has the number ``find`` returns."""
    fresh, cached = find("prompt_n"), find("cache_n")
    prompt, completion = find("prompt_tokens"), find("completion_tokens")
    if prompt is None and (read := find("input_tokens")) is not None:
        # Anthropic's leaves out what was cached, and so names it apart.
        prompt = read + (find("cache_read_input_tokens") or 0)
    if prompt is None and fresh is not None:
        prompt = fresh + (cached or 0)
    if completion is None and (completion := find("output_tokens")) is None:
        completion = find("predicted_n")
    if cached is None and (cached := find("cached_tokens")) is None:
        cached = find("cache_read_input_tokens")
    return Told(prompt, completion, cached, fresh, find("prompt_ms"), find("predicted_ms"))


def told_in(answer: dict[str, Any]) -> Told:
    """Return the counts of a decoded answer, or event, by its ``timings`` and ``usage``.

    TypeError where an engine counted in anything but numbers.
    """
    fields = _fields_of(answer)

    def find(name: str) -> float | None:
        value = fields.get(name)
        number = isinstance(value, int | float if name.endswith("_ms") else int)
        if value is not None and (isinstance(value, bool) or not number):
            raise TypeError(f"{name} is no number")
        return value

    return told(find)


def _fields_of(answer: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if isinstance(usage := answer.get("usage"), dict):
        if isinstance(details := usage.get("prompt_tokens_details"), dict):
            fields |= details
        if isinstance(details := usage.get("input_tokens_details"), dict):
            fields |= details
        fields |= usage
    if isinstance(timings := answer.get("timings"), dict):
        fields |= timings
    return fields


class Usage(NamedTuple):
    """Tokens as the engine counted them; None where its answer did not say.

    ``cached`` is the part of ``prompt`` that the engine did not have to read, ``read`` the rest
    and how many seconds it took; ``writing`` are the seconds of the answer. ``estimated``: of an
    answer that did not come to its end, whose tokens the gateway counted.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    read: tuple[int, float] | None = None
    estimated: bool = False
    writing: float | None = None

    @property
    def total(self) -> int | None:
        """Tokens of prompt and answer."""
        if self.prompt is None or self.completion is None:
            return None
        return self.prompt + self.completion


def usage_of(tail: bytes) -> Usage:
    """Return the counts in the last bytes of an answer; of fields with one name the last counts.

    A quotation mark inside generated text is escaped, so it cannot imitate a field.
    """
    fields: dict[str, float] = {}
    wanted = _OPENAI
    if _OF_OTHERS in tail:
        wanted += _OTHERS
    if _OF_TIMINGS in tail:
        wanted += _TIMINGS
    for name, field in wanted:
        # From the end: a pattern for all fields would look at every byte before.
        at = tail.rfind(field)
        while at >= 0:
            if (number := _NUMBER.match(tail, at + len(field))) is not None:
                value = float(number[1])
                fields[name] = value if name.endswith("_ms") else int(value)
                break
            at = tail.rfind(field, 0, at)
    return _usage(told(fields.get))


def usage_of_answer(body: bytes) -> Usage:
    """Return the counts of a whole answer.

    A small one is decoded: that takes a third of the time of a search for each field. What is not
    as expected then, is searched.
    """
    found = _decoded(body) if len(body) <= TAIL else None
    return usage_of(body[-TAIL:]) if found is None else _usage(found)


def _decoded(body: bytes) -> Told | None:
    """Return the counts of an answer in OpenAI's form or llama-server's; None for any other."""
    try:
        fields = _fields_of(orjson.loads(body))
        found = told(fields.get)
    except (ValueError, TypeError, AttributeError):
        return None
    if found.prompt is None or "input_tokens" in fields or bool in map(type, fields.values()):
        return None
    counts, times = found[:4], found[4:]
    if not (_COUNTS.issuperset(map(type, counts)) and _TIMES.issuperset(map(type, times))):
        return None
    return None if min(filter(None, found), default=0) < 0 else found


def _usage(found: Told) -> Usage:
    read = None
    if found.reading is not None and found.fresh is not None:
        read = (found.fresh, found.reading / 1000)
    writing = None if found.writing is None else found.writing / 1000
    return Usage(found.prompt, found.completion, found.cached, read, writing=writing)


class Tally:
    """Counts what is relayed of one answer, and keeps what its tokens are told in.

    Small pieces are looked at several at a time: that costs half as much as one by one.
    """

    __slots__ = ("_chunks", "_events", "_first", "_new", "_tail", "whole")

    def __init__(self) -> None:
        # What Anthropic's streams tell of the prompt stands at their beginning.
        self._first = b""
        # The counts stand in the last bytes.
        self._tail = b""
        self._chunks = 0
        self._events = 0
        # Pieces that were not looked at.
        self._new: list[bytes] = []
        # An answer in one piece.
        self.whole = b""

    def add(self, chunk: bytes) -> None:
        """Count a piece of a stream, which is on its way to the client."""
        new = self._new
        new.append(chunk)
        if len(new) >= _TOGETHER or len(chunk) >= _SMALL:
            self._look()

    def between(
        self, heard: Callable[[bytes], None], put: Callable[[bytes], bool]
    ) -> Callable[[bytes], bool]:
        """Return a function that does ``heard``, ``add`` and ``put`` with a piece."""
        new, append, look = self._new, self._new.append, self._look

        def take(chunk: bytes) -> bool:
            heard(chunk)
            append(chunk)
            if len(new) >= _TOGETHER or len(chunk) >= _SMALL:
                look()
            return put(chunk)

        return take

    def forget(self, events: int) -> None:
        """Count so many events less: the client did not get them."""
        self._look()
        self._events -= events

    def _look(self) -> None:
        new = self._new
        if not new:
            return
        if not self._chunks:
            self._first = new[0][:TAIL]
        self._chunks += len(new)
        pieces = new[0] if len(new) == 1 else b"".join(new)
        new.clear()
        self._events += pieces.count(_EVENT)
        self._tail = (self._tail + pieces[-TAIL:])[-TAIL:]

    @property
    def chunks(self) -> int:
        """The number of pieces."""
        self._look()
        return self._chunks

    @property
    def events(self) -> int:
        """The number of events in them."""
        self._look()
        return self._events

    @property
    def head(self) -> bytes:
        """The first bytes that were relayed."""
        self._look()
        return self._first

    @property
    def tail(self) -> bytes:
        """The last bytes that were relayed."""
        self._look()
        return self._tail

    def usage(self) -> Usage:
        """Return what the stream says of its tokens."""
        tail = self.tail
        return usage_of(self._first + tail)

    def so_far(self, prompt: int) -> Usage:
        """Return what is known of a stream that did not come to its end.

        An engine sends an event for each token, after one that only begins the answer.
        """
        events = self.events
        told = usage_of(self._first)
        return Usage(
            prompt if told.prompt is None else told.prompt,
            max(0, events - 1),
            told.cached,
            estimated=True,
        )
