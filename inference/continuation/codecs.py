"""Which tongue an API speaks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.messages import MESSAGES
from inference.continuation.responses import RESPONSES
from models.requests.reader import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference.continuation.codec import Codec

_CODECS: Mapping[Kind, Codec] = {
    Kind.CHAT: CHAT,
    Kind.COMPLETION: COMPLETION,
    Kind.MESSAGES: MESSAGES,
    Kind.RESPONSES: RESPONSES,
}


def codec_of(kind: Kind) -> Codec | None:
    """How the API writes; None where its answers do not grow."""
    return _CODECS.get(kind)
