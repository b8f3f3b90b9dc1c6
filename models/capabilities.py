"""Check that a model can do what a request needs. Pure.

The engine type tells what a variant can do; the configuration overrides it. Some capabilities are
certain, others only possible: a possible one is not shown to clients, and not refused.
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

# In the order in which clients see them.
NAMES = ("text", "vision", "audio", "embeddings", "rerank", "tools", "speech", "image")


_TEMPLATE = " Its chat template does not print tools, so the model would not see them."


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``certain`` ones are shown to clients; requests beyond the ``possible`` ones are refused."""

    certain: frozenset[str]
    possible: frozenset[str]

    def shown(self) -> list[str]:
        """Return the certain capabilities, in a fixed order."""
        return [name for name in NAMES if name in self.certain]


def require(
    model: ModelSpec, able: Capabilities, facts: RequestFacts, path: str | None = None
) -> None:
    """Return if the model may be able to serve the request, at ``path``, else raise NotCapable."""
    if path is not None and model.variants[0].endpoints:
        require_path(model, path)
    needed = facts.endpoint.needs
    if needed is None:
        return
    lacking = {*facts.needs, needed} - able.possible
    if lacking:
        missing = [name for name in NAMES if name in lacking]
        why = _TEMPLATE if missing == ["tools"] else ""
        raise NotCapable(
            f"The model '{model.name}' is not configured for {_listed(missing)}."
            f" It serves {_listed(able.shown()) or 'nothing'}.{why}"
            f" If it can do more, say so with 'capabilities' in its configuration.",
            param="tools" if missing == ["tools"] else "model",
        )


def require_path(model: ModelSpec, path: str) -> None:
    """Return if the model serves ``path``, or another name of its endpoint; else NotCapable."""
    variant = model.variants[0]
    if not variant.endpoints:
        return
    asked = path.partition("?")[0]
    if asked != variant.health_path and not any(map(variant.answers, names_of(asked))):
        raise NotCapable(
            f"The model '{model.name}' does not serve {asked}."
            f" Its 'endpoints' are {_listed(variant.endpoints)}.",
            param="model",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
