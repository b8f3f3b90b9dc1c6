"""Which tongue an API speaks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.request import Kind
from server.growth.chat import CHAT, COMPLETION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.growth.tongue import Tongue

_TONGUES: Mapping[Kind, Tongue] = {Kind.CHAT: CHAT, Kind.COMPLETION: COMPLETION}


def tongue_of(kind: Kind) -> Tongue | None:
    """How the API writes; None where its answers do not grow."""
    return _TONGUES.get(kind)
