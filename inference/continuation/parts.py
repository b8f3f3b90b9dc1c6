"""What is known of an answer that is written in parts, streamed or not. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.continuation.request import continuation

if TYPE_CHECKING:
    from inference.continuation.codec import Codec
    from inference.continuation.counts import Counts
    from inference.continuation.request import Continuation
    from models.requests.reader import RequestFacts

# A full context may lack the tokens that would not have fitted together.
_SLACK = 4


class Parts:
    """An answer so far.

    ``refused`` says that an engine did not continue what was said before; nothing of its words
    was passed on. ``anew`` says that it answered otherwise instead, as it always will.
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
        """What the engine that wrote last had of its prompt; None of an answer that never grew."""
        return None if self._before is None or self._own is None else self._own.cached

    def _filled(self, context: int) -> bool:
        own, slack = self._own, _SLACK if self._codec.tells_why else 0
        return own is not None and own.total + slack >= context

    def _next(self, text: str) -> Continuation | None:
        own = self._own
        if own is None:
            return None
        whole = own if self._before is None else self._before.then(own)
        following = continuation(self._codec, self._facts, text, whole.written, own)
        if following is not None:
            self._text, self._before = text, whole
        return following


def added(text: str, said: str) -> str | None:
    """What ``said`` adds to ``text``, which it may repeat; None where it is almost a repetition.

    No new token is half as long as a text that is continued.
    """
    if said.startswith(text):
        return said[len(text) :]
    most = min(len(said), len(text))
    shared = next((at for at in range(most) if said[at] != text[at]), most)
    return None if 2 * shared >= len(text) else said
