"""The request that continues an answer, where that answer can be continued exactly. Pure.

The words so far become the assistant's own, which an engine continues instead of answering them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from inference.continuation.codec import STRANGE

if TYPE_CHECKING:
    from inference.continuation.codec import Codec, Json
    from inference.continuation.counts import Counts
    from models.requests.reader import RequestFacts

# So many characters are more than one token: a repetition can be told from something new.
LEAST = 24
# The end of a character that did not fit any more.
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request, and what it begins with.

    ``text`` is the answer so far, ``counts`` are those of the engine that wrote last, ``left`` how
    many tokens may still be written, None without a limit. ``trial`` is the chat that must be
    rendered with ``text`` at its end, None where nothing is rendered.
    """

    body: bytes
    text: str
    counts: Counts
    left: int | None
    trial: bytes | None


def continuation(
    codec: Codec, facts: RequestFacts, text: str, written: int, counts: Counts
) -> Continuation | None:
    """The request for what follows ``text``, of ``written`` tokens; None where it is not exact."""
    request = orjson.loads(facts.body)
    if codec.usual_limit is not None:
        request.setdefault(codec.limits[0], codec.usual_limit)
    left = _left(codec, request, written)
    if left is not None and left <= 0:
        return None
    if len(text.strip()) < LEAST or text.endswith(_BROKEN):
        return None
    if not codec.exact(request) or _may_stop(request.get(codec.stops), text):
        return None
    if not codec.put(request, text):
        return None
    for name in codec.limits:
        if (limit := _limit(request, name)) is not None:
            request[name] = limit - written
    trial = codec.trial(request, text)
    body = orjson.dumps(request)
    return Continuation(body, text, counts, left, None if trial is None else orjson.dumps(trial))


def could_continue(codec: Codec, facts: RequestFacts) -> bool:
    """Return whether an answer to this request can be continued at all, by what is asked for.

    Others are never held back. A text of which nothing is known yet stands for the answer.
    """
    try:
        request = orjson.loads(facts.body)
        # A beginning of the client's own must be that of the text, which is not known yet.
        return codec.exact(request) and (facts.prefilled or codec.put(request, ""))
    except STRANGE:
        return False


def _limit(request: Json, name: str) -> int | None:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(value)


def _left(codec: Codec, request: Json, written: int) -> int | None:
    limits = [limit for name in codec.limits if (limit := _limit(request, name)) is not None]
    return min(limits) - written if limits else None


def _may_stop(stops: object, text: str) -> bool:
    """Whether the words end in what may be the beginning of a stop sequence."""
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list):
        return False
    return any(
        text.endswith(stop[:length])
        for stop in stops
        if isinstance(stop, str)
        for length in range(1, len(stop))
    )
