"""What models can do, and whether a model can do what a request needs. Pure.

The engine type tells what a variant can do; the configuration overrides it. Some capabilities are
certain, others only possible: a possible one is not shown to clients, and not refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.requests.endpoints import names_of
from utils.errors import NotCapable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.catalog import Catalog
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


class Types(Protocol):
    """Tells what models can do; ``news`` grows when that may have changed."""

    news: int

    def capabilities(self, model: ModelSpec) -> Capabilities:
        """Return the model's capabilities."""
        ...


class ModelCapabilities(Mapping[str, Capabilities]):
    """The capabilities of each model by its name; an engine that is ready may tell news."""

    def __init__(
        self, catalog: Catalog, types: Types, before: ModelCapabilities | None = None
    ) -> None:
        self._models = {model.name: model for model in catalog.models}
        self._types = types
        self._news = types.news
        # Found at once, so that no request waits for files.
        self._found = {
            name: (before and before.of_same(model)) or types.capabilities(model)
            for name, model in self._models.items()
        }

    def of_same(self, model: ModelSpec) -> Capabilities | None:
        """Return what is known of the model if it was the same before, and has no news."""
        same = self._models.get(model.name) is model and self._news == self._types.news
        return self._found.get(model.name) if same else None

    def __getitem__(self, name: str) -> Capabilities:
        if self._news != self._types.news:
            self._news = self._types.news
            self._found.clear()
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._types.capabilities(self._models[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


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
