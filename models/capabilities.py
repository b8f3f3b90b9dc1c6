"""What a model can do, and what a request needs. Pure.

What a variant can do is for its engine type to say; what is configured wins. Some things are
certain, and some are only possible: those are not promised, and not refused either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.requests.endpoints import names_of
from utils.errors import NotCapable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec

# In the order in which they are shown.
NAMES = ("text", "vision", "audio", "embeddings", "rerank", "tools")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``certain`` is promised; what is not even ``possible`` is refused."""

    certain: frozenset[str]
    possible: frozenset[str]

    def shown(self) -> list[str]:
        """What is promised, in a fixed order."""
        return [name for name in NAMES if name in self.certain]


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
            f" It serves {_listed(able.shown()) or 'nothing'}."
            f" If it can do more, say so with 'capabilities' in its configuration.",
            param="model",
        )


def require_path(model: ModelSpec, path: str) -> None:
    """NotCapable when the model's engines do not have ``path``, under any name of its endpoint."""
    asked, variant = path.partition("?")[0], model.variants[0]
    if asked != variant.health_path and not any(map(variant.answers, names_of(asked))):
        raise NotCapable(
            f"The model '{model.name}' does not answer {asked}."
            f" Its 'endpoints' are {_listed(variant.endpoints)}.",
            param="model",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
