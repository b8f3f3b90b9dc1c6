"""What a llama-server can do, read from how it is started. Pure; nothing is loaded for it.

llama-server decides by its arguments which endpoints it answers, so most is certain. What
a projector file understands, and whether one comes with a download, is not; such things
are not promised, and not refused either.
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
# In the names of projectors that understand sound.
_HEARING = ("audio", "ultravox", "voxtral", "whisper", "omni")


def deduced(said: Arguments) -> Capabilities:
    """What the arguments and variables make of a llama-server."""
    embedding = said.on(EMBEDDINGS)
    if said.on(RERANKING) or (embedding and said.value(POOLING) == "rank"):
        only = frozenset({"rerank"})
        return Capabilities(only, only)
    certain, possible = _media(said)
    written = {"text", "tools"} if said.on(JINJA, default=True) else {"text"}
    if embedding:
        # Recent releases chat as well, if the model can: nobody promises it.
        return Capabilities(certain | {"embeddings"}, possible | written | {"embeddings"})
    return Capabilities(certain | written, possible | written)


def _media(said: Arguments) -> tuple[frozenset[str], frozenset[str]]:
    """What of images and sound is certain, and what is possible."""
    projector = said.value(PROJECTOR) or said.value(PROJECTOR_URL)
    if projector is None:
        downloads = said.on(PROJECTOR_AUTO, default=True) and said.given(DOWNLOAD)
        return frozenset(), _MEDIA if downloads else frozenset()
    file = projector.replace("\\", "/").rpartition("/")[2].lower()
    hears = any(word in file for word in _HEARING)
    return frozenset({"audio" if hears else "vision"}), _MEDIA
