"""Which tongue an API speaks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.messages import MESSAGES
from inference.continuation.responses import RESPONSES
from models.requests import endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference.continuation.codec import Codec
    from models.requests.endpoints import Endpoint

_CODECS: Mapping[Endpoint, Codec] = {
    endpoints.CHAT: CHAT,
    endpoints.COMPLETION: COMPLETION,
    endpoints.MESSAGES: MESSAGES,
    endpoints.RESPONSES: RESPONSES,
}


def codec_of(endpoint: Endpoint) -> Codec | None:
    """How the API writes; None where its answers do not grow."""
    return _CODECS.get(endpoint)
