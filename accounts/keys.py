"""API keys: how one is made, what is kept of it, and what it may do. Pure.

A key has 256 random bits, so a plain SHA-256 is kept of it: nobody can guess the key from that,
and finding it takes no comparison of secrets. The key itself is shown once.
"""

from __future__ import annotations

import json
import secrets
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGINNING = "sk-gw-"
# Characters of a key that stay visible.
SHOWN = 12
SCOPES = ("inference", "read", "admin")
_BYTES = 32
_BEARER = "bearer"
_IN_PROTOCOL = "openai-insecure-api-key."
SECRET = "ek_"  # noqa: S105 - what a client secret of the Realtime API begins with


class NewKey(NamedTuple):
    """A new key: ``text`` is for its owner alone; the others are kept."""

    text: str
    digest: bytes
    prefix: str


def new_key() -> NewKey:
    """Return a key that nobody has."""
    text = BEGINNING + secrets.token_urlsafe(_BYTES)
    return NewKey(text, digest_of(text), text[:SHOWN])


def digest_of(text: str) -> bytes:
    """Return what is kept of a key."""
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def presented(headers: Mapping[str, str]) -> str | None:
    """Return the key of a request, from ``Authorization`` or ``x-api-key``; None without one.

    A browser has only the name of a protocol to put the key of a websocket into.
    """
    if (given := headers.get("Authorization")) is not None:
        scheme, _, text = given.partition(" ")
        if scheme.lower() == _BEARER and (text := text.strip()):
            return text
    return headers.get("X-Api-Key") or _in_protocols(headers.get("Sec-WebSocket-Protocol", ""))


def _in_protocols(protocols: str) -> str | None:
    for each in protocols.split(",") if protocols else ():
        name = each.strip()
        if name.startswith(_IN_PROTOCOL):
            return name.removeprefix(_IN_PROTOCOL) or None
    return None


def patterns(text: str | None) -> tuple[str, ...] | None:
    """Return the patterns of models in a column, a JSON list; None where all are allowed."""
    return None if text is None else tuple(json.loads(text))


@lru_cache(maxsize=4096)
def allows(patterns: tuple[str, ...], model: str) -> bool:
    """Return whether one of the patterns fits the model: ``*`` is any text, ``?`` one character."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)
