"""Deduce what a llama-server can do from its arguments, without loading anything. Pure.

The arguments decide which endpoints it serves, so most capabilities are certain. The media that a
projector understands, and whether a download includes one, are not: these are "possible".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.llamacpp.arguments import (
    DOWNLOAD,
    EMBEDDINGS,
    JINJA,
    POOLING,
    PROJECTOR,
    PROJECTOR_AUTO,
    PROJECTOR_URL,
    RERANKING,
)
from models.capabilities import Capabilities

if TYPE_CHECKING:
    from engine.llamacpp.arguments import Arguments

_MEDIA = frozenset({"vision", "audio"})
# Words in the names of projectors that understand sound.
_HEARING = ("audio", "ultravox", "voxtral", "whisper", "omni")


def deduced(said: Arguments) -> Capabilities:
    """Return the capabilities of a llama-server with these arguments and variables."""
    embedding = said.on(EMBEDDINGS)
    if said.on(RERANKING) or (embedding and said.value(POOLING) == "rank"):
        only = frozenset({"rerank"})
        return Capabilities(only, only)
    certain, possible = _media(said)
    written = {"text", "tools"} if said.on(JINJA, default=True) else {"text"}
    if embedding:
        # Recent releases also chat, if the model can.
        return Capabilities(certain | {"embeddings"}, possible | written | {"embeddings"})
    return Capabilities(certain | written, possible | written)


def _media(said: Arguments) -> tuple[frozenset[str], frozenset[str]]:
    """Return which of images and sound are certain, and which are possible."""
    projector = said.value(PROJECTOR) or said.value(PROJECTOR_URL)
    if projector is None:
        downloads = said.on(PROJECTOR_AUTO, default=True) and said.given(DOWNLOAD)
        return frozenset(), _MEDIA if downloads else frozenset()
    file = projector.replace("\\", "/").rpartition("/")[2].lower()
    hears = any(word in file for word in _HEARING)
    return frozenset({"audio" if hears else "vision"}), _MEDIA
