"""Who asks, as far as fair turns go: the API key, else the address. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_HEADERS = ("Authorization", "X-Api-Key")


def client_of(headers: Mapping[str, str], address: str | None) -> str:
    """The same text for the same client; a key itself is not kept."""
    key = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), None)
    if key is not None:
        return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return address or ""
