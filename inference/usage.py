"""Token counts from the end of an engine's answer, without parsing the answer. Pure.

Every form ends with them: ``usage`` in OpenAI's shapes or Anthropic's, and llama-server's
``timings``, which a stream carries in its last chunk even when no usage was asked for.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

# Enough for the last chunk of a stream or the end of a JSON answer.
TAIL = 8192
_LAST_CHUNKS = 4
_EVENT = b"data: "

# Eighteen digits at most: Python refuses to read numbers of thousands of them.
_NUMBER = re.compile(rb"\s*:\s*(\d{1,18})")
_DECIMAL = re.compile(rb"\s*:\s*(\d{1,18}(?:\.\d{1,18})?(?:[eE][-+]?\d{1,2})?)")
_PROMPT = b'"prompt_tokens"'
_COMPLETION = b'"completion_tokens"'
# The Responses API's and Anthropic's names; only the latter leaves the cached tokens out.
_INPUT = b'"input_tokens"'
_OUTPUT = b'"output_tokens"'
_CACHE_READ = b'"cache_read_input_tokens"'
_CACHED = b'"cache_n"'
_CACHED_DETAIL = b'"cached_tokens"'
_PROCESSED = b'"prompt_n"'
_PROCESSING = b'"prompt_ms"'
_PREDICTED = b'"predicted_n"'


class Usage(NamedTuple):
    """Tokens as the engine counted them; None where its answer did not say.

    ``cached`` is the part of ``prompt`` that the engine did not have to read, ``read`` the rest
    and how many seconds it took. ``estimated``: of an answer that did not come to its end, whose
    tokens the gateway counted.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    read: tuple[int, float] | None = None
    estimated: bool = False

    @property
    def total(self) -> int | None:
        """Tokens of prompt and answer."""
        if self.prompt is None or self.completion is None:
            return None
        return self.prompt + self.completion


def usage_of(tail: bytes) -> Usage:
    """The counts in the last bytes of an answer.

    A quotation mark inside generated text is escaped, so it cannot imitate a field.
    """
    prompt, completion = _last(_PROMPT, tail), _last(_COMPLETION, tail)
    if prompt is None and (fresh := _last(_INPUT, tail)) is not None:
        prompt = fresh + (_last(_CACHE_READ, tail) or 0)
    if completion is None:
        completion = _last(_OUTPUT, tail)
    if prompt is None and (processed := _last(_PROCESSED, tail)) is not None:
        prompt = processed + (_last(_CACHED, tail) or 0)
    if completion is None:
        completion = _last(_PREDICTED, tail)
    cached = _last(_CACHED, tail)
    for field in (_CACHED_DETAIL, _CACHE_READ):
        cached = _last(field, tail) if cached is None else cached
    return Usage(prompt, completion, cached, _read(tail))


def _read(tail: bytes) -> tuple[int, float] | None:
    milliseconds = _found(_PROCESSING, _DECIMAL, tail)
    tokens = None if milliseconds is None else _last(_PROCESSED, tail)
    return None if milliseconds is None or tokens is None else (tokens, float(milliseconds) / 1000)


def _last(field: bytes, tail: bytes) -> int | None:
    number = _found(field, _NUMBER, tail)
    return None if number is None else int(number)


def _found(field: bytes, value: re.Pattern[bytes], tail: bytes) -> bytes | None:
    # From the end: a pattern would look at every byte before.
    at = tail.rfind(field)
    while at >= 0:
        if (found := value.match(tail, at + len(field))) is not None:
            return found[1]
        at = tail.rfind(field, 0, at)
    return None


class Tally:
    """Counts what is relayed of one answer, and keeps what its tokens are told in."""

    __slots__ = ("_first", "_last", "chunks", "events")

    def __init__(self) -> None:
        # What Anthropic's streams tell of the prompt stands at their beginning.
        self._first = b""
        # The counts stand in the last chunks; four hold them even when the end comes in pieces.
        self._last: deque[bytes] = deque(maxlen=_LAST_CHUNKS)
        self.chunks = 0
        self.events = 0

    def add(self, chunk: bytes) -> None:
        """Count a piece of a stream, which is on its way to the client."""
        if not self.chunks:
            self._first = chunk[:TAIL]
        self.chunks += 1
        self.events += chunk.count(_EVENT)
        self._last.append(chunk)

    def usage(self) -> Usage:
        """Return what the stream says of its tokens."""
        return usage_of(self._first + b"".join(self._last)[-TAIL:])

    def so_far(self, prompt: int) -> Usage:
        """Return what is known of a stream that did not come to its end.

        An engine sends an event for each token, after one that only begins the answer.
        """
        told = usage_of(self._first)
        return Usage(
            prompt if told.prompt is None else told.prompt,
            max(0, self.events - 1),
            told.cached,
            estimated=True,
        )
