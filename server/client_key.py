"""Who asks, for the order of the queue: the API key, else the address; and its priority. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from engine.scheduling.queue import Priority
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_HEADERS = ("Authorization", "X-Api-Key")


def client_of(headers: Mapping[str, str], address: str | None) -> str:
    """Return the same text for the same client; it is a digest of the key."""
    key = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), None)
    if key is not None:
        return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return address or ""


def priority_of(headers: Mapping[str, str], *, allowed: bool) -> Priority:
    """Return the priority that ``X-Priority`` names, if allowed; BadRequest for other words."""
    word = headers.get("X-Priority") if allowed else None
    if word is None:
        return Priority.NORMAL
    try:
        return Priority[word.strip().upper()]
    except KeyError:
        raise BadRequest(
            'The X-Priority header must be "low", "normal" or "high".', param="X-Priority"
        ) from None
