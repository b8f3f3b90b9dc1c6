"""What a model can do, read from how its variants are started. Pure; nothing is loaded for it.

llama-server decides by its arguments which endpoints it answers, so most is certain. What
a projector file understands, and whether one comes with a download, is not; such things
are not promised, and not refused either.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from utils.errors import NotCapable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec

# In the order in which they are shown.
NAMES = ("text", "vision", "audio", "embeddings", "rerank", "tools")

_MEDIA = frozenset({"vision", "audio"})
_PROJECTOR = (
    ("-mm", "--mmproj", "-mmu", "--mmproj-url"),
    ("LLAMA_ARG_MMPROJ", "LLAMA_ARG_MMPROJ_URL"),
)
_DOWNLOAD = (("-hf", "-hfr", "--hf-repo"), ("LLAMA_ARG_HF_REPO",))
# In the names of projectors that understand sound.
_HEARING = ("audio", "ultravox", "voxtral", "whisper", "omni")
_FALSE = frozenset({"", "0", "false", "off", "disabled", "no"})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``certain`` is promised; what is not even ``possible`` is refused."""

    certain: frozenset[str]
    possible: frozenset[str]

    def shown(self) -> list[str]:
        """What is promised, in a fixed order."""
        return [name for name in NAMES if name in self.certain]


def capabilities_of(model: ModelSpec) -> Capabilities:
    """What is configured, else what every variant (certain) or any (possible) can do."""
    if model.capabilities is not None:
        return Capabilities(model.capabilities, model.capabilities)
    each = [_deduced(variant) for variant in model.variants]
    return Capabilities(
        frozenset.intersection(*(found.certain for found in each)),
        frozenset.union(*(found.possible for found in each)),
    )


def require(model: ModelSpec, able: Capabilities, facts: RequestFacts) -> None:
    """NotCapable when the model certainly cannot serve the request."""
    needed = facts.endpoint.needs
    if needed is None:
        return
    lacking = {*facts.needs, needed} - able.possible
    if lacking:
        missing = [name for name in NAMES if name in lacking]
        raise NotCapable(
            f"The model '{model.name}' is not configured for {_listed(missing)}."
            f" It serves {_listed(able.shown()) or 'nothing'}.",
            param="model",
        )


def _deduced(variant: VariantSpec) -> Capabilities:
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
