"""Which tongue an API speaks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.request import Kind
from server.growth.chat import CHAT, COMPLETION
from server.growth.messages import MESSAGES
from server.growth.responses import RESPONSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.growth.tongue import Tongue

_TONGUES: Mapping[Kind, Tongue] = {
    Kind.CHAT: CHAT,
    Kind.COMPLETION: COMPLETION,
    Kind.MESSAGES: MESSAGES,
    Kind.RESPONSES: RESPONSES,
}


def tongue_of(kind: Kind) -> Tongue | None:
    """How the API writes; None where its answers do not grow."""
    return _TONGUES.get(kind)
