"""Which models hear and speak in a session. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.catalog import AUTO
from models.requests.endpoints import CHAT, SPEECH, TRANSCRIPTION
from models.routing.asked import Asked
from models.routing.check import models_of
from models.routing.needed import RouteNeeded
from utils.errors import NotCapable, VoiceUnavailable

if TYPE_CHECKING:
    from models.catalog import Catalog
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec
    from server.configuration import Configuration
    from voice.live.options import LiveOptions


def with_models(options: LiveOptions, configuration: Configuration) -> LiveOptions:
    """Return the options with a model for each task.

    ModelNotFound or NotCapable for one that was named; VoiceUnavailable if there is none to choose.
    """
    require(configuration, CHAT, options.model)
    return replace(
        options,
        hearer=chosen(configuration, TRANSCRIPTION, options.hearer),
        speaker=chosen(configuration, SPEECH, options.speaker),
    )


def crowded(options: LiveOptions, configuration: Configuration) -> str:
    """Return what to do so that the models of a session are loaded side by side; "" if they are."""
    catalog, most = configuration.catalog, configuration.settings.max_loaded_models
    names = filter(catalog.has_model, (options.hearer, options.model, options.speaker))
    models = {model.name: model for model in map(catalog.find, names)}
    types = configuration.types
    here = [each for each in models.values() if not types.of(each.largest).runs_elsewhere]
    if len(here) <= most:
        return ""
    return (
        f"Each turn loads models, which takes long: it needs {len(here)} of them, and "
        f"max_loaded_models is {most}."
    )


def require(configuration: Configuration, endpoint: Endpoint, name: str | None) -> None:
    """Return if what has this name may serve the endpoint; else ModelNotFound, NotCapable.

    It is any name that a request to the endpoint may have: of a model, an alias or a route.
    """
    models, shown = candidates(configuration.catalog, endpoint, name)
    needs: frozenset[str] = frozenset() if endpoint.needs is None else frozenset({endpoint.needs})
    asked = Asked(endpoint.name, needs)
    if not any(configuration.book.serves(model, asked) for model in models):
        raise NotCapable(f"The model '{shown}' serves no {endpoint.name}.", param="model")


def candidates(
    catalog: Catalog, endpoint: Endpoint, name: str | None
) -> tuple[list[ModelSpec], str]:
    """Return the models that requests for this name may go to, and what they are called together.

    ModelNotFound if there is none.
    """
    try:
        catalog.asked(endpoint, {}, name)
    except RouteNeeded as needed:
        return _models_of(needed.name, catalog), needed.name or AUTO
    model = catalog.find(name)
    return [model], model.name


def _models_of(name: str | None, catalog: Catalog) -> list[ModelSpec]:
    """Return the models that requests for this name may go to."""
    if name is not None and name in catalog.routes:
        return models_of(catalog.routes[name], catalog)
    if name is not None and name in catalog.shared:
        return [catalog.find(each) for each in catalog.shared[name] if catalog.has_model(each)]
    return [catalog.find(name)] if catalog.has_model(name) else list(catalog.models)


def chosen(configuration: Configuration, endpoint: Endpoint, name: str) -> str:
    """Return ``name``, or the first model for the endpoint; those that do only that come first."""
    if name:
        require(configuration, endpoint, name)
        return name
    able = configuration.able
    models = [each.name for each in configuration.catalog.models]
    found = [each for each in models if endpoint.needs in able[each].certain]
    if not found:
        raise VoiceUnavailable(f"No model here serves {endpoint.paths[0]}, and a voice needs one.")
    return min(found, key=lambda each: len(able[each].certain))


def hears_ahead(asked: bool | None, account: int | None) -> bool:
    """Return whether speech is made a text already while it goes on.

    Each text is a request: none is made that an ``account`` pays or counts, unless it is ``asked``
    for. Both are None if there is none.
    """
    return account is None if asked is None else asked
