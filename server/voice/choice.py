"""Which models hear and speak in a session. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.requests.endpoints import CHAT, SPEECH, TRANSCRIPTION
from utils.errors import NotCapable, VoiceUnavailable

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint
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


def require(configuration: Configuration, endpoint: Endpoint, name: str | None) -> None:
    """Return if the model of this name may serve the endpoint; else ModelNotFound, NotCapable."""
    model = configuration.catalog.find(name)
    if endpoint.needs not in configuration.able[model.name].possible:
        raise NotCapable(f"The model '{model.name}' serves no {endpoint.name}.", param="model")


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
