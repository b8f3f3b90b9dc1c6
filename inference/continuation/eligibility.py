"""Which answers may be continued, by configuration and by what engines have shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.messages import MESSAGES
from inference.continuation.responses import RESPONSES
from models.requests import endpoints
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference.continuation.codec import Codec
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec

_log = get_logger("continuation")

CODECS: Mapping[Endpoint, Codec] = {
    endpoints.CHAT: CHAT,
    endpoints.COMPLETION: COMPLETION,
    endpoints.MESSAGES: MESSAGES,
    endpoints.RESPONSES: RESPONSES,
}


class Eligibility:
    """Remembers models whose engines began a new answer instead of a continuation.

    For these models no larger variant is started for a continuation until their definition changes.
    """

    def __init__(self) -> None:
        self._anew: dict[str, ModelSpec] = {}

    def codec(self, model: ModelSpec, endpoint: Endpoint) -> Codec | None:
        """Return the codec for the answer; None if it is not to be continued."""
        codec = CODECS.get(endpoint) if model.grow_answers else None
        if codec is not None and codec.repeats and self._anew.get(model.name) == model:
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
