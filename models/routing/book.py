"""What a choice of models is made from: the models, what they can do, and the routes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.requests.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.capabilities import Capabilities
    from models.catalog import Catalog
    from models.routing.asked import Asked
    from models.spec import ModelSpec

_ENDPOINTS = {endpoint.name: endpoint for endpoint in ENDPOINTS}


@dataclass(frozen=True, slots=True)
class RouteBook:
    """The models of a catalog; ``elsewhere`` are those that other machines run."""

    catalog: Catalog
    able: Mapping[str, Capabilities]
    elsewhere: frozenset[str] = field(default_factory=frozenset)

    def stands_in(self, name: str) -> bool:
        """Return whether the name is that of a model in whose place others may answer."""
        known = name not in self.catalog.routes and self.catalog.has_model(name)
        return known and bool(self.catalog.find(name).fallback)

    def fits(self, model: ModelSpec, asked: Asked) -> bool:
        """Return whether the estimate of the prompt fits the model's largest context."""
        return not model.counted or asked.tokens < model.largest.capacity

    def lacking(self, model: ModelSpec, asked: Asked) -> frozenset[str]:
        """Return the capabilities that the model lacks for the request."""
        return asked.needs - self.able[model.name].possible

    def serves(self, model: ModelSpec, asked: Asked) -> bool:
        """Return whether the model may be able to answer: by capabilities and by endpoint.

        What another gateway has sent does not go on to a third one.
        """
        if asked.relayed and model.peer is not None:
            return False
        return not self.lacking(model, asked) and _has_endpoint(model, asked)

    def having(self, capabilities: Iterable[str]) -> list[str]:
        """Return the names of the models that surely have all these capabilities."""
        wanted = frozenset(capabilities)
        return [m.name for m in self.catalog.models if wanted <= self.able[m.name].certain]


def _has_endpoint(model: ModelSpec, asked: Asked) -> bool:
    variant, endpoint = model.variants[0], _ENDPOINTS.get(asked.endpoint)
    if not variant.endpoints or endpoint is None:
        return True
    return any(map(variant.answers, endpoint.paths))
