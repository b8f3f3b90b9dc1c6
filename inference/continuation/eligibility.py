"""Which answers may be continued in a larger variant: most need not, and some must not. Pure."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from inference.continuation.chat import CHAT, COMPLETION
from inference.usage import usage_of_answer
from models.requests import endpoints
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.upstream import UpstreamResponse
    from inference.continuation.codec import Codec
    from inference.upstream_call import UpstreamCall
    from inference.usage import Usage
    from models.requests.endpoints import Endpoint
    from models.requests.reader import RequestFacts
    from models.sizing import PromptSize
    from models.spec import ModelSpec


_log = get_logger("continuation")

CODECS: Mapping[Endpoint, Codec] = {
    endpoints.CHAT: CHAT,
    endpoints.COMPLETION: COMPLETION,
}
# A context counts as full with this many tokens left: the next ones may not have fitted together.
SLACK = 4
# More than templates print of their own, without tools.
_TEMPLATE = 1024
_MEDIA = attrgetter("media")


class Eligibility:
    """Decides which answers are read as ones that may go on.

    It remembers models whose engines began a new answer instead of a continuation. For these no
    larger variant is started for a continuation until their definition changes.
    """

    def __init__(self) -> None:
        self._anew: dict[str, ModelSpec] = {}

    def codec(self, upstream_call: UpstreamCall, upstream: UpstreamResponse) -> Codec | None:
        """Return the codec for an answer that may be continued; None for others.

        Most answers are others: their limit or their counts show that they cannot fill their
        context. Who may read a stream again must find all of it on one engine.
        """
        call, context = upstream_call.call, upstream_call.lease.variant.capacity
        model, facts = call.model, call.facts
        codec = CODECS.get(facts.endpoint) if model.grow_answers else None
        if codec is None or upstream.failed or call.conversation is not None:
            return None
        if codec.repeats and self._anew.get(model.name) == model:
            return None
        larger = context < model.largest.capacity
        if not larger or cannot_fill(facts, upstream_call.selection.size, context):
            return None
        if upstream.whole and not is_full(usage_of_answer(upstream.first), context):
            return None
        return codec

    def answered_anew(self, model: ModelSpec) -> None:
        """Let answers of the model end at their context from now on; log this once."""
        if self._anew.get(model.name) == model:
            return
        self._anew[model.name] = model
        _log.warning(
            "%s does not continue what was said but answers anew; its answers end where their"
            " variants do",
            model.name,
        )


def cannot_fill(facts: RequestFacts, size: PromptSize, context: int) -> bool:
    """Return whether the request's own limit ends the answer before ``context`` is full.

    A prompt that is not counted may be longer than it seems: by what its template prints.
    """
    if facts.max_output is None or not size.tokens:
        return False
    if size.exact:
        return size.tokens + facts.max_output + SLACK < context
    if any(map(_MEDIA, facts.segments)):
        return False
    return size.tokens + _TEMPLATE + facts.max_output + SLACK < context


def is_full(usage: Usage, context: int) -> bool:
    """Return whether an answer with these counts may have filled ``context``."""
    return usage.total is None or usage.total + SLACK >= context
