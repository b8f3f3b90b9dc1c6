"""What a choice of models is made from: the models, what they can do, and the routes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.requests.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from models.capabilities import Capabilities
    from models.catalog import Catalog
    from models.routing.asked import Asked
    from models.spec import ModelSpec

_ENDPOINTS = {endpoint.name: endpoint for endpoint in ENDPOINTS}
_NO, _MAYBE, _YES = range(3)


def _not_known(model: ModelSpec, voice: str) -> bool | None:
    del model, voice
    return None


@dataclass(frozen=True, slots=True)
class RouteBook:
    """The models of a catalog; ``elsewhere`` are those that other machines run.

    ``has_voice`` tells whether a model speaks with the voice of a name, None if it may.
    """

    catalog: Catalog
    able: Mapping[str, Capabilities]
    elsewhere: frozenset[str] = field(default_factory=frozenset)
    has_voice: Callable[[ModelSpec, str], bool | None] = _not_known

    def stands_in(self, name: str) -> bool:
        """Return whether the name is that of a model in whose place others may answer."""
        known = name not in self.catalog.routes and self.catalog.has_model(name)
        return known and bool(self.catalog.find(name).fallback)

    def suiting(self, models: list[ModelSpec], asked: Asked) -> list[ModelSpec]:
        """Return the models that suit the request, in the same order; all if none does.

        The estimate of the prompt fits their largest context. They have the voice that the request
        names; if no model surely has it, they may have it.
        """
        fitting = [each for each in models if _fits(each, asked)] or models
        if not asked.voice or not fitting:
            return fitting
        known = [self._voiced(each, asked.voice) for each in fitting]
        best = max(known)
        return [each for each, has in zip(fitting, known, strict=True) if has == best]

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

    def _voiced(self, model: ModelSpec, voice: str) -> int:
        has = self.has_voice(model, voice)
        return _MAYBE if has is None else _YES if has else _NO


def _fits(model: ModelSpec, asked: Asked) -> bool:
    return not model.counted or asked.tokens < model.largest.capacity


def _has_endpoint(model: ModelSpec, asked: Asked) -> bool:
    variant, endpoint = model.variants[0], _ENDPOINTS.get(asked.endpoint)
    if not variant.endpoints or endpoint is None:
        return True
    return any(map(variant.answers, endpoint.paths))
