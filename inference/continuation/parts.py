"""An answer in parts, streamed or not, and the request for its next part. Pure.

The text so far becomes the beginning of the assistant's message, which an engine continues. There
is a next part only if the continuation is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from inference.continuation.codec import STRANGE
from inference.continuation.eligibility import SLACK

if TYPE_CHECKING:
    from inference.continuation.codec import Codec, Json
    from inference.continuation.counts import Counts
    from models.requests.reader import RequestFacts

# This many characters are more than one token: a repetition can be told from something new.
LEAST = 24
# Stands for a character whose last bytes did not fit.
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request for the rest of an answer.

    - ``text``: the answer so far. ``counts``: those of the engine that wrote last.
    - ``left``: how many tokens may still be written; None without a limit.
    - ``trial``: a chat that the engine must render with ``text`` at its end; None: no need.
    """

    body: bytes
    text: str
    counts: Counts
    left: int | None
    trial: bytes | None


class Parts:
    """An answer so far; the base of ``ContinuedStream`` and ``ContinuedAnswer``.

    ``refused``: the last engine did not continue the text, and nothing of its answer was passed on.
    ``anew``: it began a new answer instead, as it will the next time.
    """

    def __init__(self, codec: Codec, facts: RequestFacts) -> None:
        self.refused = False
        self.anew = False
        self._codec = codec
        self._facts = facts
        self._text = ""
        # Of all engines before the one that writes now, and of that one.
        self._before: Counts | None = None
        self._own: Counts | None = None

    @property
    def cached(self) -> int | None:
        """The tokens that the last engine had in its cache; None if no engine continued."""
        return None if self._before is None or self._own is None else self._own.cached

    def _filled(self, context: int) -> bool:
        return self._own is not None and self._own.total + SLACK >= context

    def _next(self, text: str) -> Continuation | None:
        own = self._own
        if own is None:
            return None
        whole = own if self._before is None else self._before.then(own)
        following = continuation(self._codec, self._facts, text, whole.written, own)
        if following is not None:
            self._text, self._before = text, whole
        return following


def continuation(
    codec: Codec, facts: RequestFacts, text: str, written: int, counts: Counts
) -> Continuation | None:
    """Return the request for what follows ``text`` of ``written`` tokens; None if not exact."""
    request = orjson.loads(facts.body)
    limits, usual = facts.endpoint.limits, facts.endpoint.default_output
    if usual is not None:
        request.setdefault(limits[0], usual)
    left = _left(limits, request, written)
    if left is not None and left <= 0:
        return None
    if len(text.strip()) < LEAST or text.endswith(_BROKEN):
        return None
    if not codec.exact(request) or _may_stop(request.get(codec.stops), text):
        return None
    if not codec.put(request, text):
        return None
    for name in limits:
        if (limit := _limit(request, name)) is not None:
            request[name] = limit - written
    trial = codec.trial(request, text)
    body = orjson.dumps(request)
    return Continuation(body, text, counts, left, None if trial is None else orjson.dumps(trial))


def could_continue(codec: Codec, facts: RequestFacts) -> bool:
    """Return whether the answer to this request could be continued at a full context.

    If it could not, its stream is never held back.
    """
    try:
        request = orjson.loads(facts.body)
        # The client's own beginning can only be compared with the text once that is known.
        return codec.exact(request) and (facts.prefilled or codec.put(request, ""))
    except STRANGE:
        return False


def _limit(request: Json, name: str) -> int | None:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(value)


def _left(limits: tuple[str, ...], request: Json, written: int) -> int | None:
    set_limits = [limit for name in limits if (limit := _limit(request, name)) is not None]
    return min(set_limits) - written if set_limits else None


def _may_stop(stops: object, text: str) -> bool:
    """Return whether ``text`` may end in the beginning of a stop sequence."""
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list):
        return False
    return any(
        text.endswith(stop[:length])
        for stop in stops
        if isinstance(stop, str)
        for length in range(1, len(stop))
    )


def added(text: str, said: str) -> str | None:
    """Return what ``said`` adds to ``text``, which it may repeat; None if it repeats most of it.

    No new token is half as long as a text that is continued.
    """
    if said.startswith(text):
        return said[len(text) :]
    most = min(len(said), len(text))
    shared = next((at for at in range(most) if said[at] != text[at]), most)
    return None if 2 * shared >= len(text) else said
