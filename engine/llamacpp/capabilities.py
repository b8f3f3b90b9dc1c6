"""What a llama-server can do, read from how it is started. Pure; nothing is loaded for it.

llama-server decides by its arguments which endpoints it answers, so most is certain. What
a projector file understands, and whether one comes with a download, is not; such things
are not promised, and not refused either.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from models.capabilities import Capabilities

if TYPE_CHECKING:
    from models.spec import VariantSpec

_MEDIA = frozenset({"vision", "audio"})
_PROJECTOR = (
    ("-mm", "--mmproj", "-mmu", "--mmproj-url"),
    ("LLAMA_ARG_MMPROJ", "LLAMA_ARG_MMPROJ_URL"),
)
_DOWNLOAD = (("-hf", "-hfr", "--hf-repo"), ("LLAMA_ARG_HF_REPO",))
# In the names of projectors that understand sound.
_HEARING = ("audio", "ultravox", "voxtral", "whisper", "omni")
_FALSE = frozenset({"", "0", "false", "off", "disabled", "no"})


def deduced(variant: VariantSpec) -> Capabilities:
    """What the arguments and variables of the variant make of it."""
    embedding = _switch(variant, ("--embedding", "--embeddings"), (), "LLAMA_ARG_EMBEDDINGS")
    ranked = _value(variant, ("--pooling",), ("LLAMA_ARG_POOLING",)) == "rank"
    reranking = _switch(variant, ("--rerank", "--reranking"), (), "LLAMA_ARG_RERANKING")
    if reranking or (ranked and embedding):
        return _exactly("rerank")
    if embedding:
        certain, possible = _media(variant)
        return Capabilities(certain | {"embeddings"}, possible | {"embeddings"})
    certain, possible = _media(variant)
    written = {"text"}
    if _switch(variant, ("--jinja",), ("--no-jinja",), "LLAMA_ARG_JINJA", default=True):
        written.add("tools")
    return Capabilities(certain | written, possible | written)


def _media(variant: VariantSpec) -> tuple[frozenset[str], frozenset[str]]:
    """What of images and sound is certain, and what is possible."""
    projector = _value(variant, *_PROJECTOR)
    if projector is None:
        automatic = _switch(
            variant,
            ("--mmproj-auto",),
            ("--no-mmproj", "--no-mmproj-auto"),
            "LLAMA_ARG_MMPROJ_AUTO",
            default=True,
        )
        downloads = automatic and _value(variant, *_DOWNLOAD) is not None
        return frozenset(), _MEDIA if downloads else frozenset()
    file = projector.replace("\\", "/").rpartition("/")[2].lower()
    hears = any(word in file for word in _HEARING)
    return frozenset({"audio" if hears else "vision"}), _MEDIA


def _exactly(*names: str) -> Capabilities:
    return Capabilities(frozenset(names), frozenset(names))


def _value(variant: VariantSpec, names: tuple[str, ...], variables: tuple[str, ...]) -> str | None:
    """The last value of an argument, else that of its variable; llama-server reads them so."""
    given = [variant.env[name] for name in variables if name in variant.env]
    given += [value for name, value in pairwise(variant.args) if name in names]
    return given[-1] if given else None


def _switch(
    variant: VariantSpec,
    on: tuple[str, ...],
    off: tuple[str, ...],
    variable: str,
    *,
    default: bool = False,
) -> bool:
    """Whether a switch is on: by the last argument that says so, else by its variable."""
    said = [word in on for word in variant.args if word in (*on, *off)]
    if said:
        return said[-1]
    value = variant.env.get(variable)
    return default if value is None else value.strip().lower() not in _FALSE
