"""Who asks, as far as turns go: the API key, else the address; and how urgently. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from engine.scheduling.queue import Priority
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_HEADERS = ("Authorization", "X-Api-Key")


def client_of(headers: Mapping[str, str], address: str | None) -> str:
    """The same text for the same client; a key itself is not kept."""
    key = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), None)
    if key is not None:
        return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return address or ""


def priority_of(headers: Mapping[str, str], *, allowed: bool) -> Priority:
    """What ``X-Priority`` asks for, where the server allows it; BadRequest for other words."""
    word = headers.get("X-Priority") if allowed else None
    if word is None:
        return Priority.NORMAL
    try:
        return Priority[word.strip().upper()]
    except KeyError:
        raise BadRequest(
            'The X-Priority header must be "low", "normal" or "high".', param="X-Priority"
        ) from None
