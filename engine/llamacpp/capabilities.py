"""Deduce what a llama-server can do from its arguments and files, without loading it. Pure.

The arguments decide which endpoints it serves. The heads of its files tell whether the chat
template knows tools, and which media the projector understands. What no file tells, because it is
still to be downloaded, is only possible until the engine itself has told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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


class Known(NamedTuple):
    """What is known beside the arguments; None is unknown."""

    tools: bool | None = None
    vision: bool | None = None
    audio: bool | None = None


def deduced(said: Arguments, known: Known) -> Capabilities:
    """Return the capabilities of a llama-server with these arguments and variables."""
    embedding = said.on(EMBEDDINGS)
    if said.on(RERANKING) or (embedding and said.value(POOLING) == "rank"):
        only = frozenset({"rerank"})
        return Capabilities(only, only)
    tools = known.tools if said.on(JINJA, default=True) else False
    certain, possible = _media(said)
    for name, has in (("tools", tools), ("vision", known.vision), ("audio", known.audio)):
        if has is not None or name == "tools":
            certain = certain | {name} if has else certain - {name}
            possible = possible | {name} if has is not False else possible - {name}
    if embedding:
        # Recent releases also chat, if the model can.
        media = certain - {"tools"}
        return Capabilities(media | {"embeddings"}, possible | {"text", "embeddings"})
    return Capabilities(certain | {"text"}, possible | {"text"})


def _media(said: Arguments) -> tuple[frozenset[str], frozenset[str]]:
    """Return which of images and sound are certain, and which are possible."""
    projector = said.value(PROJECTOR) or said.value(PROJECTOR_URL)
    if projector is None:
        downloads = said.on(PROJECTOR_AUTO, default=True) and said.given(DOWNLOAD)
        return frozenset(), _MEDIA if downloads else frozenset()
    file = projector.replace("\\", "/").rpartition("/")[2].lower()
    hears = any(word in file for word in _HEARING)
    return frozenset({"audio" if hears else "vision"}), _MEDIA
