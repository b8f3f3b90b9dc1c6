"""The continuation of an answer in one piece. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from inference.continuation.codec import STRANGE
from inference.continuation.parts import Parts, added

if TYPE_CHECKING:
    from inference.continuation.codec import Codec, Json
    from inference.continuation.parts import Continuation
    from models.requests.reader import RequestFacts


class ContinuedAnswer(Parts):
    """An answer in one piece, written by one engine after another; ``body`` is all of it."""

    def __init__(self, codec: Codec, facts: RequestFacts, body: bytes) -> None:
        super().__init__(codec, facts)
        self.body = body
        self._answer = _object(body)
        with suppress(*STRANGE):
            self._own = codec.counts(self._answer)

    def ended(self, context: int) -> Continuation | None:
        """Return the answer's continuation if the engine's ``context`` cut it short, else None."""
        try:
            return self._following(context)
        except STRANGE:
            return None

    def joins(self, body: bytes) -> bool:
        """Add ``body``, the next engine's answer; return False if it does not continue this one."""
        try:
            return self._joins(_object(body))
        except STRANGE:
            return False

    def _following(self, context: int) -> Continuation | None:
        if not self._codec.full(self._answer) or not self._filled(context):
            return None
        text = self._codec.words(self._answer)
        return None if text is None else self._next(text)

    def _joins(self, answer: Json) -> bool:
        said = self._codec.begun(answer)
        if said is None or self._before is None:
            return False
        new = added(self._text, said) if self._codec.repeats else said
        if new is None:
            self.refused = self.anew = True
            return False
        own = self._codec.counts(answer)
        self._codec.complete(answer, self._text + new, self._answer, self._before)
        self._answer, self._own, self.body = answer, own, orjson.dumps(answer)
        return True


def _object(body: bytes) -> Json:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
