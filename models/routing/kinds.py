"""The type of a model, from its capabilities. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.capabilities import Capabilities

# The capabilities of each type, and the type; the first whose capabilities a model has is its type.
_TYPES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"text", "vision", "audio"}), "omni"),
    (frozenset({"text", "audio"}), "omni"),
    (frozenset({"text", "vision"}), "vision"),
    (frozenset({"text"}), "text"),
    (frozenset({"embeddings", "vision"}), "vision-embedding"),
    (frozenset({"embeddings"}), "embedding"),
    (frozenset({"rerank"}), "rerank"),
    (frozenset({"speech"}), "tts"),
    (frozenset({"audio"}), "audio"),
    (frozenset({"image"}), "image"),
)
TYPES = tuple(dict.fromkeys(name for _, name in _TYPES))


def type_of(able: Capabilities) -> str | None:
    """Return the type of a model that can do this; None if nothing is certain of it.

    A model that embeds is an embedding model unless it is said to chat.
    """
    return next((name for needed, name in _TYPES if needed <= able.certain), None)
