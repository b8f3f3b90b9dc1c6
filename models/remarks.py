"""What in a valid configuration probably is not meant. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.catalog import Catalog
    from utils.config.settings import ServerSettings


def faults_of_preload(catalog: Catalog, settings: ServerSettings) -> list[str]:
    """Return a line for each model of ``preload`` that there is not, and if they are too many."""
    place, most = "server.preload", settings.max_loaded_models
    faults = [
        f'{place}: no model has the name "{name}"'
        for name in settings.preload
        if not catalog.has_model(name)
    ]
    models = [catalog.find(name) for name in settings.preload if catalog.has_model(name)]
    here = {model.name for model in models if not model.variants[0].url}
    if len(here) > most:
        faults.append(f"{place}: {len(here)} models, but server.max_loaded_models is {most}")
    return faults


def remarks(settings: ServerSettings, catalog: Catalog) -> list[str]:
    """Return a line for each key without an effect, with its place."""
    grouped = [model.name for model in catalog.models if model.group is not None]
    if settings.max_loaded_models == 1 and grouped:
        what = f"group (of {', '.join(grouped)}): no effect while server.max_loaded_models is 1"
        return [f"{what}: one engine runs at a time"]
    return []
